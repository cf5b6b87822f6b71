// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/yaml.h>

#include <catch2/catch.hpp>

#include "cli/output.h"

using namespace cortexflow::cli;
using nlohmann::ordered_json;

namespace {

// Escape and bell, a C1 control, DEL, a right-to-left override, a broken octet, a new line.
const std::string kHostileText = "a\x1b[31m\x07\xc2\x9b\x7f\xe2\x80\xae\xff\nb";

bool all_prints(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= 0x20 && c <= 0x7e); });
}

}  // namespace

TEST_CASE("Printable text shows every other octet by its number") {
  CHECK(printable(kHostileText) == R"(a\x1b[31m\x07\xc2\x9b\x7f\xe2\x80\xae\xff\x0ab)");
  CHECK(printable("plain ~ text\\") == "plain ~ text\\");
}

TEST_CASE("No form of output passes on what could drive a terminal") {
  const ordered_json rows{{{"name", kHostileText}, {"more", {{"inner", kHostileText}}}}};
  CHECK(all_prints(table(rows, {{"NAME", "/name"}, {"MORE", "/more"}})));
  CHECK(all_prints(json(rows, 2)));
  CHECK(all_prints(yaml(rows)));
  CHECK(all_prints(cell(rows[0], "/name")));
  CHECK(all_prints(clock_text(kHostileText + kHostileText, 3)));
}

TEST_CASE("A hostile text does not end its table row") {
  const ordered_json rows{{{"name", kHostileText}}, {{"name", "b"}}};
  const auto text = table(rows, {{"NAME", "/name"}});
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
}

TEST_CASE("JSON and YAML output read back as what they were made of") {
  const ordered_json document{{"text", "a \"b\" \x1b \x7f \xc3\xa9 #:"},
                              {"null", nullptr},
                              {"yes", true},
                              {"number", -5},
                              {"share", 0.25},
                              {"word", "true"},
                              {"none", ordered_json::array()},
                              {"empty", ""}};
  CHECK(ordered_json::parse(json(document, 2)) == document);
  CHECK(json(document, -1).find('\n') == std::string::npos);
  const auto read = YAML::Load(yaml(document));
  CHECK(read["text"].as<std::string>() == document["text"].get<std::string>());
  CHECK(read["null"].IsNull());
  CHECK(read["yes"].as<bool>());
  CHECK(read["number"].as<int>() == -5);
  CHECK(read["share"].as<double>() == 0.25);
  CHECK(read["word"].Tag() == "!");  // quoted: text, not a truth value
  CHECK(read["none"].IsSequence());
  CHECK(read["empty"].as<std::string>().empty());
}

TEST_CASE("Columns are as wide as their widest cell, and nothing is a dash") {
  const ordered_json rows{{{"a", "long text"}, {"b", 1}}, {{"a", ""}, {"b", nullptr}}};
  CHECK(table(rows, {{"A", "/a"}, {"B", "/b"}}) == "A          B\nlong text  1\n-          -\n");
}

TEST_CASE("Durations and times are short") {
  CHECK(duration_text(75'200) == "75.2us");
  CHECK(duration_text(12'300'000) == "12.3ms");
  CHECK(duration_text(1'200'000'000) == "1.20s");
  CHECK(clock_text("2023-11-14T22:13:20.123456789Z", 3) == "22:13:20.123");
  CHECK(clock_text("2023-11-14T22:13:20.123456789Z", 0) == "22:13:20");
  CHECK(clock_text("soon", 3) == "soon");
}
