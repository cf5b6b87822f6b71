// SPDX-License-Identifier: Apache-2.0
// Where the agent keeps what operators set: one agent at a time, as long as it lives.
#pragma once

#include <string>
#include <utility>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow {

class StateDirectory {
 public:
  // Makes it where it is missing.  An error where another agent has it: the two would overwrite each other's files.
  [[nodiscard]] static Result<StateDirectory> open(const std::string& path);

  // Why nothing can be kept in it now, in words; empty: it can be written.
  [[nodiscard]] std::string problem() const;

 private:
  explicit StateDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
  Fd lock_;  // none: there is no such directory
};

}  // namespace cortexflow
