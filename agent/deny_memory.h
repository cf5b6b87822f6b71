// SPDX-License-Identifier: Apache-2.0
// The manifests' DenyLists as they last could be read, kept in a file: one that is broken when an agent starts stays in
// force.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/base/result.h"
#include "agent/model/deny_list.h"

namespace cortexflow {

class DenyMemory {
 public:
  using Lists = std::map<std::string, std::shared_ptr<const model::DenyList>>;  // by name

  explicit DenyMemory(std::string path) : path_(std::move(path)) {}

  // What keep() had last; none where there is no file.  One that can't be understood is put aside (".broken").
  [[nodiscard]] Result<Lists> recall() const;
  // On disk when it returns.  A file that has this already is left alone.
  [[nodiscard]] Result<void> keep(const Lists& lists);

 private:
  std::string path_;
};

}  // namespace cortexflow
