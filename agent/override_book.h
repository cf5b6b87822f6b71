// SPDX-License-Identifier: Apache-2.0
// The operator's overrides of services, kept in a file as they change.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/service_override.h"

namespace cortexflow {

class OverrideBook {
 public:
  // What a file before has.  One that can't be understood is put aside (".broken"), and said: an agent without
  // overrides does more than none.
  [[nodiscard]] static OverrideBook open(std::string path);

  // Null: none.
  [[nodiscard]] const model::ServiceOverride* find(const model::ObjectName& service) const;
  [[nodiscard]] std::vector<model::ObjectName> names() const;
  [[nodiscard]] std::size_t size() const { return overrides_.size(); }
  // On disk when it returns; as it was before where that fails.
  [[nodiscard]] Result<void> set(const model::ObjectName& service, model::ServiceOverride now);

 private:
  explicit OverrideBook(std::string path) : path_(std::move(path)) {}

  std::string path_;
  model::ServiceOverrides overrides_;
};

}  // namespace cortexflow
