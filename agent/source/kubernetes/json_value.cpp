// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/json_value.h"

#include <nlohmann/json.hpp>

namespace cortexflow::source {

Value value_of(const nlohmann::json& json) {
  using Type = nlohmann::json::value_t;
  Value out;
  out.line = 1;
  switch (json.type()) {
    case Type::object:
      out.type = Value::Type::kMap;
      out.items.reserve(json.size());
      for (const auto& [key, value] : json.items()) {
        out.items.push_back(value_of(value));
        out.items.back().key = key;
      }
      return out;
    case Type::array:
      out.type = Value::Type::kList;
      out.items.reserve(json.size());
      for (const auto& item : json) out.items.push_back(value_of(item));
      return out;
    case Type::string:
      out.type = Value::Type::kString;
      out.text = json.get<std::string>();
      return out;
    case Type::null:
      return out;
    case Type::boolean:
      out.type = Value::Type::kBool;
      break;
    case Type::number_float:
      out.type = Value::Type::kFloat;
      break;
    default:
      out.type = Value::Type::kInt;
      break;
  }
  out.text = json.dump();
  return out;
}

}  // namespace cortexflow::source
