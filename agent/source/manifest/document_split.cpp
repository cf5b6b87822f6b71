// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/document_split.h"

namespace cortexflow::source {
namespace {

std::string_view without_byte_order_mark(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

bool is_marker(std::string_view line, std::string_view marker) {
  return line.starts_with(marker) && (line.size() == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r');
}

// Blank lines, comments and directives say nothing by themselves: they belong to the document that follows.
bool is_preamble(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\r");
  return first == std::string_view::npos || line[first] == '#' || line[0] == '%';
}

}  // namespace

std::vector<DocumentText> split_yaml(std::string_view text) {
  text = without_byte_order_mark(text);
  std::vector<DocumentText> documents;
  std::size_t begin = 0;
  std::uint32_t begin_line = 1;
  std::uint32_t line_number = 0;
  bool content = false;
  const auto cut = [&](std::size_t end, std::size_t next, std::uint32_t next_line) {
    if (content) documents.push_back({text.substr(begin, end - begin), begin_line});
    begin = next;
    begin_line = next_line;
    content = false;
  };
  for (std::size_t at = 0; at < text.size();) {
    ++line_number;
    const std::size_t newline = text.find('\n', at);
    const std::size_t next = newline == std::string_view::npos ? text.size() : newline + 1;
    const std::string_view line = text.substr(at, (newline == std::string_view::npos ? next : newline) - at);
    if (is_marker(line, "...")) {
      cut(at, next, line_number + 1);
    } else if (is_marker(line, "---")) {
      if (content) cut(at, at, line_number);
      content = true;
    } else if (!is_preamble(line)) {
      content = true;
    }
    at = next;
  }
  cut(text.size(), text.size(), line_number + 1);
  return documents;
}

std::vector<DocumentText> split_json(std::string_view text) {
  text = without_byte_order_mark(text);
  std::vector<DocumentText> documents;
  std::size_t begin = 0;
  std::uint32_t line = 1;
  std::uint32_t begin_line = 1;
  std::size_t depth = 0;
  bool in_string = false;
  bool content = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (in_string) {
      if (c == '\\') {
        ++at;
        if (at < text.size() && text[at] == '\n') ++line;
      } else {
        in_string = c != '"';
      }
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    if (!content) {
      begin = at;
      begin_line = line;
      content = true;
    }
    in_string = c == '"';
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && depth > 0 && --depth == 0) {
      documents.push_back({text.substr(begin, at + 1 - begin), begin_line});
      content = false;
    }
  }
  if (content) documents.push_back({text.substr(begin), begin_line});
  return documents;
}

}  // namespace cortexflow::source
