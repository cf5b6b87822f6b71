// SPDX-License-Identifier: Apache-2.0
// A cgroup of this process's own, so that what hangs on it concerns nobody else; and a place for pins.
#pragma once

#include <string>

namespace cortexflow::test {

class OwnCgroup {
 public:
  OwnCgroup();  // throws where it can't be made
  ~OwnCgroup();
  OwnCgroup(const OwnCgroup&) = delete;
  OwnCgroup& operator=(const OwnCgroup&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& pins() const { return pins_; }

 private:
  std::string home_;  // where the process was
  std::string path_;
  std::string pins_;
};

}  // namespace cortexflow::test
