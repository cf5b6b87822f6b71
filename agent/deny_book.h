// SPDX-License-Identifier: Apache-2.0
// The operator's own deny list, kept in a file as it changes.
#pragma once

#include <string>
#include <utility>

#include "agent/base/result.h"
#include "agent/model/deny_list.h"

namespace cortexflow {

class DenyBook {
 public:
  // What a file before has.  One that can't be understood is put aside (".broken"), and said.
  [[nodiscard]] static DenyBook open(std::string path);

  [[nodiscard]] const model::DenyList& list() const { return list_; }
  // In memory alone.
  void set(model::DenyList list) { list_ = std::move(list); }
  // On disk when it returns; the file is as it was before where that fails.  One call at a time; any thread may use the
  // rest meanwhile.
  [[nodiscard]] Result<void> write(const model::DenyList& list) const;

 private:
  explicit DenyBook(std::string path) : path_(std::move(path)) {}

  std::string path_;
  model::DenyList list_;
};

}  // namespace cortexflow
