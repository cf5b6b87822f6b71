// SPDX-License-Identifier: Apache-2.0
#include "agent/model/object.h"

#include <fmt/format.h>

#include <array>

namespace cortexflow::model {
namespace {

constexpr std::array<std::string_view, 9> kNames{
    "Service",  "EndpointSlice",       "Pod",           "Namespace", "TrafficPolicy",
    "DenyList", "AuthorizationPolicy", "NetworkPolicy", "Node"};
static_assert(kNames.size() == std::variant_size_v<Object>);

}  // namespace

std::string_view kind_name(Kind kind) { return kNames.at(static_cast<std::size_t>(kind)); }

std::optional<Kind> parse_kind(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Kind>(i);
  }
  return std::nullopt;
}

std::string ObjectKey::to_string() const {
  return name.ns.empty() ? fmt::format("{} {}", kind_name(kind), name.name)
                         : fmt::format("{} {}/{}", kind_name(kind), name.ns, name.name);
}

ObjectKey key_of(const Object& object) {
  const auto kind = static_cast<Kind>(object.index());
  return std::visit(
      [kind](const auto& value) {
        if constexpr (std::is_same_v<decltype(value->name), std::string>) {
          return ObjectKey{kind, {"", value->name}};
        } else {
          return ObjectKey{kind, value->name};
        }
      },
      object);
}

bool same_value(const Object& one, const Object& other) {
  if (one.index() != other.index()) return false;
  return std::visit(
      [&other](const auto& value) {
        const auto& second = std::get<std::decay_t<decltype(value)>>(other);
        return value == second || *value == *second;
      },
      one);
}

std::string Refusal::to_string() const {
  std::string text;
  for (const std::string& part : {line == 0 || file.empty() ? file : fmt::format("{}:{}", file, line), object, field}) {
    if (!part.empty()) text += part + ": ";
  }
  return text + reason;
}

}  // namespace cortexflow::model
