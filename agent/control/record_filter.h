// SPDX-License-Identifier: Apache-2.0
// Which records a watcher wants: OR within a field, AND between fields; what a `not.` field matches is left out.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/parameters.h"

namespace cortexflow::control {

template <typename Record>
class RecordFilter {
 public:
  // Fields that can be filtered by; each also with "not." before it.
  [[nodiscard]] static const std::vector<std::string>& fields();

  // From URL query parameters; other parameters are not looked at.
  [[nodiscard]] static Result<RecordFilter> parse(const Parameters& parameters) {
    constexpr std::string_view kNot = "not.";
    RecordFilter filter;
    for (const auto& [key, value] : parameters) {
      const bool negated = key.starts_with(kNot);
      const std::string field = negated ? key.substr(kNot.size()) : key;
      if (!negated && std::find(fields().begin(), fields().end(), field) == fields().end()) continue;
      if (value.empty()) return fail("{}={}: expected a value", field, value);
      if (value.find('\0') != std::string::npos) return fail("{}={}: expected text without NUL", field, value);
      auto test = make_test(field, value);
      if (!test) return tl::make_unexpected(std::move(test.error()));
      (negated ? filter.unwanted_ : filter.wanted_[field]).push_back(std::move(*test));
    }
    return filter;
  }

  [[nodiscard]] bool matches(const Record& record) const {
    const auto passes = [&record](const Test& test) { return test(record); };
    if (std::any_of(unwanted_.begin(), unwanted_.end(), passes)) return false;
    return std::all_of(wanted_.begin(), wanted_.end(), [&](const auto& field) {
      return std::any_of(field.second.begin(), field.second.end(), passes);
    });
  }

 private:
  using Test = std::function<bool(const Record&)>;
  [[nodiscard]] static Result<Test> make_test(const std::string& field, const std::string& value);

  std::map<std::string, std::vector<Test>> wanted_;
  std::vector<Test> unwanted_;
};

}  // namespace cortexflow::control
