// SPDX-License-Identifier: Apache-2.0
#include "cli/secret_name.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace cortexflow::cli {
namespace {

// "dbPassword", "DB_PASSWORD" -> {"db", "password"}
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> out{""};
  bool was_lower = false;
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool lower = c >= 'a' && c <= 'z';
    const bool starts = (upper && was_lower) || (!upper && !lower);
    if (starts && !out.back().empty()) out.emplace_back();
    if (upper || lower) out.back() += upper ? static_cast<char>(c + ('a' - 'A')) : c;
    was_lower = lower;
  }
  if (out.back().empty()) out.pop_back();
  return out;
}

bool is_secret_word(const std::string& word) {
  constexpr std::array<std::string_view, 7> kParts{"passw", "passphrase", "pwd",          "secret",
                                                   "token", "credential", "authorization"};
  if (std::any_of(kParts.begin(), kParts.end(), [&](auto part) { return word.find(part) != std::string::npos; })) {
    return true;
  }
  return word.ends_with("key") || word.ends_with("keys") || (word.ends_with("pass") && word != "bypass");
}

}  // namespace

bool names_secret(std::string_view name) {
  constexpr std::array<std::string_view, 22> kPlainEnds{
      "file", "files",    "path",   "dir",  "name", "names",  "type",     "kind",    "size",  "bits",     "algorithm",
      "ttl",  "audience", "expiry", "mode", "ref",  "usages", "lifetime", "seconds", "count", "required", "usage"};
  constexpr std::array<std::string_view, 3> kPlainNames{"key", "topologyKey", "public_key"};
  if (std::find(kPlainNames.begin(), kPlainNames.end(), name) != kPlainNames.end()) return false;
  const auto words = words_of(name);
  if (words.empty() || std::find(kPlainEnds.begin(), kPlainEnds.end(), words.back()) != kPlainEnds.end()) return false;
  return std::any_of(words.begin(), words.end(), is_secret_word);
}

}  // namespace cortexflow::cli
