// SPDX-License-Identifier: Apache-2.0
#include "agent/control/parameters.h"

#include <algorithm>
#include <charconv>

namespace cortexflow::control {
namespace {

bool holds(const std::vector<std::string>& list, const std::string& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

std::string expected(const ParameterNames& taken) {
  std::vector<std::string> groups;
  if (!taken.own.empty()) groups.push_back(fmt::format("{}", fmt::join(taken.own, ", ")));
  if (!taken.filters.empty()) {
    groups.push_back(fmt::format("a filter ({}; each also with not. before it)", fmt::join(taken.filters, ", ")));
  }
  return groups.empty() ? "none" : fmt::format("{}", fmt::join(groups, ", or "));
}

}  // namespace

Result<void> check_names(const Parameters& parameters, const ParameterNames& taken) {
  constexpr std::string_view kNot = "not.";
  for (const auto& [name, value] : parameters) {
    if (holds(taken.own, name)) {
      if (parameters.count(name) > 1) return fail("{} is given more than once", name);
      continue;
    }
    const std::string field = name.starts_with(kNot) ? name.substr(kNot.size()) : name;
    if (!holds(taken.filters, field)) {
      return fail("unknown parameter {}; expected {}", name, expected(taken));
    }
  }
  return {};
}

std::optional<std::string> value_of(const Parameters& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::nullopt : std::optional(found->second);
}

Result<std::string> needed(const Parameters& parameters, const std::string& name) {
  auto value = value_of(parameters, name);
  if (!value || value->empty()) return fail("{} is missing", name);
  return std::move(*value);
}

std::optional<std::uint32_t> number_of(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

Result<bool> flag_of(const Parameters& parameters, const std::string& name, bool otherwise) {
  const auto value = value_of(parameters, name);
  if (!value) return otherwise;
  if (*value == "true") return true;
  if (*value == "false") return false;
  return fail("{}={}: expected true or false", name, *value);
}

Result<std::uint64_t> count_of(const Parameters& parameters, const std::string& name, std::uint64_t max,
                               std::uint64_t otherwise) {
  const auto value = value_of(parameters, name);
  if (!value) return otherwise;
  std::uint64_t count = 0;
  const char* last = value->data() + value->size();
  const auto [end, error] = std::from_chars(value->data(), last, count);
  if (error == std::errc{} && end == last && count >= 1 && count <= max) return count;
  return fail("{}={}: expected a number from 1 to {}", name, *value, max);
}

Result<std::string> choice_of(const Parameters& parameters, const std::string& name,
                              const std::vector<std::string>& choices, const std::string& otherwise) {
  const auto value = value_of(parameters, name);
  if (!value) return otherwise;
  if (holds(choices, *value)) return *value;
  return fail("{}={}: expected one of {}", name, *value, fmt::join(choices, ", "));
}

}  // namespace cortexflow::control
