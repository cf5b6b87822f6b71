// SPDX-License-Identifier: Apache-2.0
#include "cli/redact.h"
#include "cli/secret_name.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

// The value of a secret's name: all texts of it, but what an object in it calls otherwise has its own rules.
void hide(ordered_json& value) {
  if (value.is_string()) {
    if (!value.get_ref<const std::string&>().empty()) value = kRedacted;
  } else if (value.is_array()) {
    for (auto& item : value) hide(item);
  } else {
    redact(value);
  }
}

// "--password", whose value is the next item.
bool is_secret_flag(const ordered_json& item) {
  if (!item.is_string()) return false;
  const auto& text = item.get_ref<const std::string&>();
  return text.starts_with('-') && text.find_first_of("= \t\n") == std::string::npos && names_secret(text);
}

void redact_array(ordered_json& array) {
  bool behind_flag = false;
  for (auto& item : array) {
    const bool flag = is_secret_flag(item);
    if (behind_flag && !flag) {
      hide(item);
    } else {
      redact(item);
    }
    behind_flag = flag;
  }
}

}  // namespace

void redact(ordered_json& document) {
  if (document.is_string()) {
    document = redacted(document.get<std::string>());
  } else if (document.is_array()) {
    redact_array(document);
  } else if (document.is_object()) {
    const bool pair = document.contains("name") && document["name"].is_string() && document.contains("value");
    const bool secret = pair && names_secret(document["name"].get<std::string>());
    for (auto& [key, value] : document.items()) {
      if (names_secret(key) || (secret && key == "value")) {
        hide(value);
      } else {
        redact(value);
      }
    }
  }
}

}  // namespace cortexflow::cli
