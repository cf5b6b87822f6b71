// SPDX-License-Identifier: Apache-2.0
// Secrets taken out of what is about to be shown to others.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cortexflow::cli {

inline constexpr const char* kRedacted = "[redacted]";

// A name whose value is a secret: it ends in password, passphrase, secret, token, private key, API key, credentials or
// authorization, however it is written ("dbPassword", "API_KEY").  "token_file" is none: a path is not a secret.
[[nodiscard]] bool names_secret(std::string_view name);

// Any text, line by line: values behind such names (YAML, JSON, NAME=VALUE, --flag VALUE), bearer tokens, JSON web
// tokens, private keys in PEM, the user's part of URLs.
[[nodiscard]] std::string redacted(std::string_view text);

// The same in every text of a document; also {"name": "DB_PASSWORD", "value": "..."}, as environments of containers
// are.
void redact(nlohmann::ordered_json& document);

}  // namespace cortexflow::cli
