// SPDX-License-Identifier: Apache-2.0
#include "agent/protocol/dns/wire_name.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

using cortexflow::protocol::dns::fold_case;
using cortexflow::protocol::dns::to_text;
using namespace std::string_literals;

namespace {

auto read(std::string_view wire) {
  return to_text(std::span(reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()));
}

std::string labels(std::size_t count, std::size_t length) {
  std::string wire;
  for (std::size_t i = 0; i < count; ++i) wire += static_cast<char>(length) + std::string(length, 'x');
  return wire;
}

}  // namespace

TEST_CASE("names on the wire become text") {
  struct Row {
    const char* sentence;
    std::string wire;
    std::string text;
  };
  for (const Row& row : {
           Row{"the root is a dot", "\0"s, "."},
           Row{"labels are joined by dots, none at the end", "\7example\3com\0"s, "example.com"},
           Row{"case is kept", "\3WwW\2eU\0"s, "WwW.eU"},
           Row{"a dot within a label is escaped", "\3a.b\0"s, "a\\.b"},
           Row{"so are dig's special characters", "\010;\\()\"@$x\0"s, "\\;\\\\\\(\\)\\\"\\@\\$x"},
           Row{"a space is written by its number", "\3a b\0"s, "a\\032b"},
           Row{"octets that don't print are written by their numbers", "\4\0\x09\x7f\xff\0"s, "\\000\\009\\127\\255"},
           Row{"underscore, dash and star stay", "\4_a-*\0"s, "_a-*"},
           Row{"a label of 63 octets is the longest", labels(1, 63) + "\0"s, std::string(63, 'x')},
       }) {
    INFO(row.sentence);
    const auto text = read(row.wire);
    REQUIRE(text);
    CHECK(*text == row.text);
  }
}

TEST_CASE("a name of 255 octets is the longest") {
  CHECK(read(labels(3, 63) + labels(1, 61) + "\0"s));
  CHECK_FALSE(read(labels(3, 63) + labels(1, 62) + "\0"s));
}

TEST_CASE("broken names are refused with a reason") {
  struct Row {
    const char* sentence;
    std::string wire;
    const char* reason;
  };
  for (const Row& row : {
           Row{"nothing at all", ""s, "no root"},
           Row{"no root", "\3abc"s, "no root"},
           Row{"a label that runs past the end", "\5abc"s, "runs past the end"},
           Row{"a label of 64 octets", labels(1, 64) + "\0"s, "label length 64"},
           Row{"a compression pointer", "\xc0\x0c"s, "label length 192"},
           Row{"more than 255 octets", labels(5, 60) + "\0"s, "longer than 255"},
           Row{"octets behind the root", "\1a\0b"s, "behind the root"},
       }) {
    INFO(row.sentence);
    const auto text = read(row.wire);
    REQUIRE_FALSE(text);
    CHECK_THAT(text.error().to_string(), Catch::Contains(row.reason));
  }
}

TEST_CASE("case folding changes A to Z and nothing else") { CHECK(fold_case("AZ[@\xc4z\\065") == "az[@\xc4z\\065"); }
