// SPDX-License-Identifier: Apache-2.0
// A document's tree, with the line of each value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cortexflow::source {

struct Value {
  enum class Type : std::uint8_t { kNull, kBool, kInt, kFloat, kString, kList, kMap };
  Type type = Type::kNull;
  std::uint32_t line = 0;    // from 1, in the file
  std::string key;           // in the mapping that holds it
  std::string text;          // of a scalar, as written
  std::vector<Value> items;  // of a list or a mapping, in their order

  // Of a mapping; null where there is none.
  [[nodiscard]] const Value* find(std::string_view wanted) const;
};

// What an unquoted scalar is, as kubectl's YAML library reads it: `yes` is a bool, `017` and `0x11` are ints.
[[nodiscard]] Value::Type plain_type(std::string_view text);

// For a message: "\"http\"", "a list", "nothing"; printable and short whatever is in it.
[[nodiscard]] std::string describe(const Value& value);
[[nodiscard]] std::string quoted(std::string_view text);
// The text itself, if it prints and isn't long; else quoted.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace cortexflow::source
