// SPDX-License-Identifier: Apache-2.0
// From text to trees and documents: splitting, YAML's types, anchors, limits.
#include <catch2/catch.hpp>
#include <string>

#include "agent/source/manifest/document_reader.h"
#include "agent/source/manifest/yaml_reader.h"

using namespace cortexflow;
using source::Value;

TEST_CASE("a file's documents are found, with their first lines") {
  struct Row {
    const char* sentence;
    bool json;
    std::string text;
    std::vector<std::pair<std::string, std::uint32_t>> documents;
  };
  for (const Row& row : {
           Row{"nothing", false, "", {}},
           Row{"comments alone are no document", false, "# a\n\n# b\n", {}},
           Row{"one without a marker", false, "a: 1\n", {{"a: 1\n", 1}}},
           Row{"two", false, "a: 1\n---\nb: 2\n", {{"a: 1\n", 1}, {"---\nb: 2\n", 2}}},
           Row{"a comment before the first marker stays with it", false, "# c\n---\na: 1\n", {{"# c\n---\na: 1\n", 1}}},
           Row{"content on the marker's line",
               false,
               "--- {a: 1}\n--- # x\nb: 2",
               {{"--- {a: 1}\n", 1}, {"--- # x\nb: 2", 2}}},
           Row{"an end marker", false, "a: 1\n...\n# c\nb: 2\n", {{"a: 1\n", 1}, {"# c\nb: 2\n", 3}}},
           Row{"dashes further in are text", false, "a: |\n  ---\nb: -----\n", {{"a: |\n  ---\nb: -----\n", 1}}},
           Row{"four dashes are no marker", false, "----\n", {{"----\n", 1}}},
           Row{"line ends of Windows", false, "a: 1\r\n---\r\nb: 2\r\n", {{"a: 1\r\n", 1}, {"---\r\nb: 2\r\n", 2}}},
           Row{"a byte order mark is no content",
               false,
               "\xef\xbb\xbf"
               "a: 1",
               {{"a: 1", 1}}},
           Row{"JSON on one line", true, "{\"a\":1}{\"b\":2}", {{"{\"a\":1}", 1}, {"{\"b\":2}", 1}}},
           Row{"JSON over lines", true, "{\n\"a\": {}}\n\n{}\n", {{"{\n\"a\": {}}", 1}, {"{}", 4}}},
           Row{"braces in strings don't count", true, "{\"a\":\"}\\\"}\"}{}", {{"{\"a\":\"}\\\"}\"}", 1}, {"{}", 1}}},
           Row{"JSON that ends too early", true, "{}\n{\"a\": [", {{"{}", 1}, {"{\"a\": [", 2}}},
       }) {
    INFO(row.sentence);
    std::vector<std::pair<std::string, std::uint32_t>> found;
    for (const auto& document : row.json ? source::split_json(row.text) : source::split_yaml(row.text)) {
      found.emplace_back(document.text, document.line);
    }
    CHECK(found == row.documents);
  }
}

TEST_CASE("an unquoted scalar is what kubectl takes it for") {
  using Type = Value::Type;
  for (const auto& [text, type] : std::vector<std::pair<const char*, Type>>{
           {"", Type::kNull},      {"~", Type::kNull},      {"null", Type::kNull},       {"yes", Type::kBool},
           {"Off", Type::kBool},   {"TRUE", Type::kBool},   {"80", Type::kInt},          {"-1", Type::kInt},
           {"0x1f", Type::kInt},   {"017", Type::kInt},     {"1_000", Type::kInt},       {"1.5", Type::kFloat},
           {".5", Type::kFloat},   {"1e3", Type::kFloat},   {".inf", Type::kFloat},      {"1.2.3", Type::kString},
           {"-", Type::kString},   {".", Type::kString},    {"10.0.0.1", Type::kString}, {"e", Type::kString},
           {"0xg", Type::kString}, {"yess", Type::kString}, {"http", Type::kString},     {"1e", Type::kString}}) {
    INFO(text);
    CHECK(source::plain_type(text) == type);
  }
}

TEST_CASE("trees are built, or the line that can't be is named") {
  struct Row {
    const char* sentence;
    std::string text;
    std::uint32_t line;  // 0: it is fine
    std::string reason;  // a part of it
  };
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'l'; ++name) {
    bomb += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 10; ++i) bomb += std::string(i ? ", *" : "*") + static_cast<char>(name - 1);
    bomb += "]\n";
  }
  for (const Row& row : {
           Row{"an anchor and its alias", "a: &x {b: 1}\nc: *x\n", 0, ""},
           Row{"a merge key", "a: &x {b: 1}\nc: {<<: *x, d: 2}\n", 0, ""},
           Row{"a merge key with a list", "a: &x {b: 1}\nc: {<<: [*x, {e: 1}]}\n", 0, ""},
           Row{"a merge key with a text", "a:\n  <<: x\n", 2, "expected a mapping to merge"},
           Row{"a quoted << is a key", "'<<': x\n", 0, ""},
           Row{"an alias without anchor", "a: 1\nb: *x\n", 2, ""},
           Row{"aliases that multiply", bomb, 5, "anchors and aliases"},
           Row{"a key that is there twice", "a: 1\nb: 2\na: 3\n", 3, "\"a\" is there twice"},
           Row{"a mapping as key", "? {a: 1}\n: 2\n", 1, "a text as a mapping's key"},
           Row{"a list that isn't closed", "a: [1\nb: 2\n", 2, "not YAML"},
           Row{"a tab as indentation", "a:\n\tb: 1\n", 2, "not YAML"},
           Row{"octets that are no UTF-8", "a: 1\nb: 2\nc: \xff\xfe\n", 3, "not YAML"},
           Row{"31 levels", std::string(31, '[') + std::string(31, ']'), 0, ""},
           Row{"33 levels", std::string(33, '[') + std::string(33, ']'), 1, "no more than 32 levels"},
           Row{"a hundred thousand levels", std::string(100'000, '['), 1, "no more than 32 levels"},
           Row{"JSON with its escapes", "{\"a\":\"\\u0041\\/\",\n\t\"b\":[1,true,null]}", 0, ""},
       }) {
    INFO(row.sentence);
    const auto tree = source::read_yaml({row.text, 1});
    CHECK(tree.has_value() == (row.line == 0));
    if (!tree) {
      CHECK(tree.error().line == row.line);
      CHECK_THAT(tree.error().reason, Catch::Contains(row.reason));
    }
  }
  const auto merged = source::read_yaml({"a: &x {b: 1, d: 1}\nc: {<<: *x, d: 2}\n", 1});
  REQUIRE(merged);
  CHECK(merged->find("c")->find("b")->text == "1");
  CHECK(merged->find("c")->find("d")->text == "2");
}

TEST_CASE("a document's objects, refusals and ignored kinds are told apart") {
  struct Row {
    const char* sentence;
    std::string text;
    std::size_t objects, refused, ignored;
  };
  const std::string ns = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}";
  for (const Row& row : {
           Row{"one object", ns, 1, 0, 0},
           Row{"an empty document", "---\n", 0, 0, 0},
           Row{"a List", "{apiVersion: v1, kind: List, items: [" + ns + ", " + ns + "]}", 2, 0, 0},
           Row{"an empty List", "{apiVersion: v1, kind: List}", 0, 0, 0},
           Row{"a broken item of a List is refused alone", "{apiVersion: v1, kind: List, items: [" + ns + ", 7]}", 1, 1,
               0},
           Row{"a List in a List is not read", "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List}]}", 0,
               0, 1},
           Row{"a kind that the mesh has no use for", "{apiVersion: apps/v1, kind: Deployment}", 0, 0, 1},
           Row{"another group's Service", "{apiVersion: serving.knative.dev/v1, kind: Service}", 0, 0, 1},
           Row{"an old version of a known kind", "{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice}", 0, 1,
               0},
           Row{"no kind", "{apiVersion: v1}", 0, 1, 0},
           Row{"no apiVersion", "{kind: Service}", 0, 1, 0},
           Row{"a text", "hello", 0, 1, 0},
           Row{"a list", "[a]", 0, 1, 0},
       }) {
    INFO(row.sentence);
    const auto read = source::read_document(row.text);
    CHECK(read.objects.size() == row.objects);
    CHECK(read.refused.size() == row.refused);
    CHECK(read.ignored.size() == row.ignored);
  }
}
