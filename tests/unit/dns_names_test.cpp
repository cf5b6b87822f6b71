// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "agent/protocol/dns/names.h"

namespace dns = cortexflow::protocol::dns;

TEST_CASE("DNS numbers have IANA's names") {
  CHECK(dns::type_name(1) == "A");
  CHECK(dns::type_name(65) == "HTTPS");
  CHECK(dns::type_name(255) == "ANY");
  CHECK(dns::type_name(32769) == "DLV");
  CHECK(dns::type_name(65280) == "TYPE65280");
  CHECK(dns::type_name(0) == "TYPE0");
  CHECK(dns::class_name(1) == "IN");
  CHECK(dns::class_name(7) == "CLASS7");
  CHECK(dns::rcode_name(3) == "NXDOMAIN");
  CHECK(dns::rcode_name(16) == "BADVERS");
  CHECK(dns::rcode_name(12) == "RCODE12");
}

TEST_CASE("types and rcodes are read from text") {
  struct Row {
    const char* sentence;
    const char* text;
    std::optional<std::uint16_t> number;
  };
  for (const Row& row :
       {Row{"a name", "AAAA", 28}, Row{"case does not matter", "https", 65}, Row{"a name with a dash", "nsap-ptr", 23},
        Row{"the form of RFC 3597", "TYPE65", 65}, Row{"the same in lower case", "type65280", 65280},
        Row{"a number", "257", 257}, Row{"a star is ANY", "*", 255}, Row{"nothing is no type", "", std::nullopt},
        Row{"a prefix without number", "TYPE", std::nullopt}, Row{"too large", "TYPE65536", std::nullopt},
        Row{"a sign is no digit", "-1", std::nullopt}, Row{"something behind", "1x", std::nullopt},
        Row{"an unknown word", "AAAAA", std::nullopt}}) {
    INFO(row.sentence);
    CHECK(dns::parse_type(row.text) == row.number);
  }
  CHECK(dns::parse_rcode("servfail") == 2);
  CHECK(dns::parse_rcode("RCODE12") == 12);
  CHECK(dns::parse_rcode("3") == 3);
  CHECK(dns::parse_rcode("FINE") == std::nullopt);
}

TEST_CASE("every type's name is read back as its number") {
  for (std::uint32_t type = 0; type <= 65535; ++type) {
    const auto number = static_cast<std::uint16_t>(type);
    if (dns::parse_type(dns::type_name(number)) != number) FAIL(dns::type_name(number));
  }
}
