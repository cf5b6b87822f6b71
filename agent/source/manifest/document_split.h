// SPDX-License-Identifier: Apache-2.0
// A file's text cut into documents, before anything is parsed: a broken document ends where the next begins, and one
// whose text did not change need not be read again.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace cortexflow::source {

struct DocumentText {
  std::string_view text;
  std::uint32_t line = 1;  // of its first line, from 1
};

// At lines that begin with "---" or "..." (YAML 1.2, 9.1.2: neither can be inside a document).
[[nodiscard]] std::vector<DocumentText> split_yaml(std::string_view text);

// After each value's last brace: {"kind": ...} {"kind": ...}, with or without lines between them.
[[nodiscard]] std::vector<DocumentText> split_json(std::string_view text);

}  // namespace cortexflow::source
