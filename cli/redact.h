// SPDX-License-Identifier: Apache-2.0
// Secrets taken out of what is about to be shown to others.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cortexflow::cli {

inline constexpr const char* kRedacted = "[redacted]";

// Any text, line by line: values behind secrets' names (secret_name.h; YAML with its blocks and lists, JSON,
// NAME=VALUE,
// --flag VALUE), bearer tokens, JSON web tokens, private keys in PEM, the user's part of URLs.
[[nodiscard]] std::string redacted(std::string_view text);

// The same in every text of a document; also {"name": "DB_PASSWORD", "value": "..."}, as environments of containers
// are, and ["--password", "..."], as their arguments are.
void redact(nlohmann::ordered_json& document);

}  // namespace cortexflow::cli
