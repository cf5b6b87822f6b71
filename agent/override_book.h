// SPDX-License-Identifier: Apache-2.0
// The operator's overrides of services, and the file that keeps them.  A disk may be slow: what is changed in memory
// and what is written are apart, so that the caller's lock need not be held while it writes.
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
  [[nodiscard]] const model::ServiceOverrides& all() const { return overrides_; }
  // All, as they would be.
  [[nodiscard]] model::ServiceOverrides with(const model::ObjectName& service, const model::ServiceOverride& now) const;
  // In memory alone.
  void set(const model::ObjectName& service, model::ServiceOverride now);
  // On disk when it returns; the file is as it was before where that fails.  One call at a time; any thread may use the
  // rest meanwhile.
  [[nodiscard]] Result<void> write(const model::ServiceOverrides& overrides) const;

 private:
  explicit OverrideBook(std::string path) : path_(std::move(path)) {}

  std::string path_;
  model::ServiceOverrides overrides_;
};

}  // namespace cortexflow
