// SPDX-License-Identifier: Apache-2.0
// As much of JSON Schema as openapi.json uses, and stricter in one thing: an object has all properties of its schema,
// and no others.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cortexflow::test {

class SchemaCheck {
 public:
  using Json = nlohmann::ordered_json;

  explicit SchemaCheck(const Json& document) : document_(document) {}

  // What is wrong with `value`, one line each.
  std::vector<std::string> operator()(const Json& value, const Json& schema, const std::string& at = "") const {
    if (schema.contains("$ref")) return (*this)(value, resolve(schema), at);
    if (schema.contains("oneOf")) return check_one_of(value, schema["oneOf"], at);
    if (schema.contains("enum")) {
      const auto& all = schema["enum"];
      if (std::find(all.begin(), all.end(), value) == all.end()) return {at + ": not in the enum: " + value.dump()};
      return {};
    }
    if (!has_type(value, schema.at("type"))) return {at + ": " + value.dump() + " is no " + schema["type"].dump()};
    if (value.is_object()) return check_object(value, schema, at);
    std::vector<std::string> wrong;
    if (value.is_array()) {
      for (const auto& item : value) append(wrong, (*this)(item, schema.at("items"), at + "[]"));
    } else if (value.is_number()) {
      if (schema.contains("minimum") && value < schema["minimum"]) wrong.push_back(at + ": below the minimum");
      if (schema.contains("maximum") && value > schema["maximum"]) wrong.push_back(at + ": above the maximum");
    }
    return wrong;
  }

  const Json& resolve(const Json& item) const {
    if (!item.contains("$ref")) return item;
    return document_.at(Json::json_pointer(item["$ref"].get<std::string>().substr(1)));
  }

 private:
  static void append(std::vector<std::string>& to, std::vector<std::string> more) {
    to.insert(to.end(), more.begin(), more.end());
  }

  static bool has_type(const Json& value, const Json& type) {
    if (type.is_array())
      return std::any_of(type.begin(), type.end(), [&](const Json& one) { return has_type(value, one); });
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    return type == (value.is_object() ? "object" : value.is_array() ? "array" : value.type_name());
  }

  std::vector<std::string> check_object(const Json& value, const Json& schema, const std::string& at) const {
    std::vector<std::string> wrong;
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [name, item] : value.items()) {
      if (properties.contains(name)) {
        append(wrong, (*this)(item, properties[name], at + "/" + name));
      } else if (schema.contains("additionalProperties")) {
        append(wrong, (*this)(item, schema["additionalProperties"], at + "/" + name));
      } else {
        wrong.push_back(at + "/" + name + ": not described");
      }
    }
    for (const auto& [name, item] : properties.items()) {
      if (!value.contains(name)) wrong.push_back(at + "/" + name + ": described, and not there");
    }
    return wrong;
  }

  std::vector<std::string> check_one_of(const Json& value, const Json& choices, const std::string& at) const {
    const auto fits =
        std::count_if(choices.begin(), choices.end(), [&](const Json& one) { return (*this)(value, one).empty(); });
    if (fits == 1) return {};
    return {at + ": fits " + std::to_string(fits) + " of the choices: " + value.dump()};
  }

  const Json& document_;
};

}  // namespace cortexflow::test
