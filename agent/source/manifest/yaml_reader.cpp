// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/yaml_reader.h"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>

namespace cortexflow::source {
namespace {

struct Parser {
  explicit Parser(std::string_view text) {
    if (!yaml_parser_initialize(&parser)) throw std::bad_alloc();
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    if (text.empty()) text = "";  // libyaml takes no null
    yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() { yaml_parser_delete(&parser); }
  yaml_parser_t parser{};
};

struct Event {
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event); }
  yaml_event_t event{};
};

std::string text_of(const yaml_char_t* text) { return text ? reinterpret_cast<const char*>(text) : ""; }

bool is_quoted(const yaml_event_t& event) {
  const std::string tag = text_of(event.data.scalar.tag);
  return event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE || tag == "!" || tag == YAML_STR_TAG;
}

void add(const yaml_event_t& event, std::uint32_t line, TreeBuilder& tree) {
  switch (event.type) {
    case YAML_SCALAR_EVENT:
      return tree.scalar(line, {reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length},
                         is_quoted(event), text_of(event.data.scalar.anchor));
    case YAML_ALIAS_EVENT:
      return tree.alias(line, text_of(event.data.alias.anchor));
    case YAML_SEQUENCE_START_EVENT:
      return tree.open(line, Value::Type::kList, text_of(event.data.sequence_start.anchor));
    case YAML_MAPPING_START_EVENT:
      return tree.open(line, Value::Type::kMap, text_of(event.data.mapping_start.anchor));
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
      return tree.close();
    default:
      return;
  }
}

Problem syntax_problem(const yaml_parser_t& parser, const DocumentText& document) {
  std::size_t line = parser.problem_mark.line;
  if (parser.error == YAML_READER_ERROR) {  // octets that are no UTF-8: no mark, but how far into the text they are
    const std::string_view before = document.text.substr(0, parser.problem_offset);
    line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  }
  return {document.line + static_cast<std::uint32_t>(line), "",
          fmt::format("not YAML: {}{}{}", parser.context ? parser.context : "", parser.context ? ", " : "",
                      parser.problem ? parser.problem : "unknown problem")};
}

}  // namespace

tl::expected<Value, Problem> read_yaml(const DocumentText& document) {
  Parser yaml(document.text);
  TreeBuilder tree;
  int documents = 0;
  while (true) {
    Event next;
    if (!yaml_parser_parse(&yaml.parser, &next.event)) {
      return tl::make_unexpected(syntax_problem(yaml.parser, document));
    }
    const std::uint32_t line = document.line + static_cast<std::uint32_t>(next.event.start_mark.line);
    if (next.event.type == YAML_STREAM_END_EVENT) return tree.take();
    if (next.event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
      return tl::make_unexpected(Problem{line, "", "expected one document here; begin each with a line of ---"});
    }
    add(next.event, line, tree);
    if (tree.problem()) return tl::make_unexpected(*tree.problem());
  }
}

}  // namespace cortexflow::source
