// SPDX-License-Identifier: Apache-2.0
// Keys and values of BPF maps, as the octets that the kernel compares and copies.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

namespace cortexflow {

template <typename Value>
[[nodiscard]] std::string octets_of(const Value& value) {
  static_assert(std::is_trivially_copyable_v<Value> && std::has_unique_object_representations_v<Value>);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// None where there are more or fewer octets than the type has.
template <typename Value>
[[nodiscard]] std::optional<Value> value_of(const std::string& octets) {
  static_assert(std::is_trivially_copyable_v<Value>);
  Value value{};
  if (octets.size() != sizeof value) return std::nullopt;
  std::memcpy(&value, octets.data(), sizeof value);
  return value;
}

}  // namespace cortexflow
