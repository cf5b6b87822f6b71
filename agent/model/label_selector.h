// SPDX-License-Identifier: Apache-2.0
// meta/v1 LabelSelector.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/model/service.h"

namespace cortexflow::model {

enum class LabelOperator : std::uint8_t { kIn, kNotIn, kExists, kDoesNotExist };

struct LabelRequirement {
  std::string key;
  LabelOperator op = LabelOperator::kIn;
  std::vector<std::string> values;  // of kIn and kNotIn
  [[nodiscard]] bool matches(const Labels& labels) const {
    const auto found = labels.find(key);
    if (op == LabelOperator::kExists) return found != labels.end();
    if (op == LabelOperator::kDoesNotExist) return found == labels.end();
    const bool in = found != labels.end() && std::find(values.begin(), values.end(), found->second) != values.end();
    return in == (op == LabelOperator::kIn);  // who lacks the label is in no set
  }
  bool operator==(const LabelRequirement&) const = default;
};

// All of them together; empty: everything.
struct LabelSelector {
  Labels labels;
  std::vector<LabelRequirement> expressions{};
  [[nodiscard]] bool matches(const Labels& of) const {
    return std::all_of(labels.begin(), labels.end(),
                       [&](const auto& one) {
                         const auto found = of.find(one.first);
                         return found != of.end() && found->second == one.second;
                       }) &&
           std::all_of(expressions.begin(), expressions.end(), [&](const auto& one) { return one.matches(of); });
  }
  bool operator==(const LabelSelector&) const = default;
};

}  // namespace cortexflow::model
