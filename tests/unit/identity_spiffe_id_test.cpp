// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "identity/dns_name.h"
#include "identity/spiffe_id.h"

namespace cortexflow::identity {

TEST_CASE("SPIFFE IDs are taken and refused as the standard says") {
  struct Row {
    std::string sentence, text;
    bool good;
  };
  const std::vector<Row> rows{
      {"a workload of a namespace", "spiffe://example.org/ns/shop/sa/cart", true},
      {"one segment", "spiffe://example.org/a", true},
      {"upper case in the path", "spiffe://td/Ns/SA_1.2-3", true},
      {"a segment of three dots is a name", "spiffe://td/...", true},
      {"the longest trust domain", "spiffe://" + std::string(255, 'a') + "/w", true},
      {"as long as it may be", "spiffe://td/" + std::string(2048 - 12, 'a'), true},
      {"one octet longer", "spiffe://td/" + std::string(2048 - 11, 'a'), false},
      {"a trust domain that is too long", "spiffe://" + std::string(256, 'a') + "/w", false},
      {"nothing", "", false},
      {"another scheme", "https://td/w", false},
      {"the scheme in upper case", "SPIFFE://td/w", false},
      {"no trust domain", "spiffe:///w", false},
      {"an upper-case trust domain", "spiffe://TD/w", false},
      {"a port", "spiffe://td:1/w", false},
      {"a user", "spiffe://u@td/w", false},
      {"no path: a trust domain's own", "spiffe://td", false},
      {"an empty path", "spiffe://td/", false},
      {"a slash at the end", "spiffe://td/w/", false},
      {"an empty segment", "spiffe://td/a//b", false},
      {"a dot segment", "spiffe://td/a/./b", false},
      {"a double dot segment", "spiffe://td/../b", false},
      {"a query", "spiffe://td/w?a", false},
      {"a fragment", "spiffe://td/w#a", false},
      {"percent encoding", "spiffe://td/%41", false},
      {"a zero octet", std::string("spiffe://td/w\0x", 15), false},
      {"other than ASCII", "spiffe://td/\xc3\xa9", false},
  };
  for (const auto& row : rows) {
    INFO(row.sentence << ": " << row.text);
    const auto id = SpiffeId::parse(row.text);
    CHECK(id.has_value() == row.good);
    if (id) CHECK(id->text() == row.text);
    if (!id) CHECK_FALSE(id.error().message.empty());
  }
  const auto id = SpiffeId::parse("spiffe://example.org/ns/a");
  CHECK(id->trust_domain() == "example.org");
  CHECK(id->path() == "/ns/a");
}

TEST_CASE("DNS names of certificates: labels, lengths, one wildcard in front") {
  for (const auto* good : {"a", "cart.shop.svc", "*.shop.svc", "A-1.b", "xn--bcher-kva.example"}) {
    INFO(good);
    CHECK(is_dns_name(good));
  }
  for (const auto& bad :
       {std::string(), std::string("*"), std::string("*.com"), std::string("a..b"), std::string("-a.b"),
        std::string("a-.b"), std::string("a b"), std::string("a.*.b"), std::string("w*.a.b"), std::string("a."),
        std::string("a\0b", 3), std::string(64, 'a'), std::string(254, 'a')}) {
    INFO(bad);
    CHECK_FALSE(is_dns_name(bad));
  }
  CHECK(dns_name_allowed("cart.shop.svc", "CART.shop.svc"));
  CHECK(dns_name_allowed("*.shop.svc", "cart.shop.svc"));
  CHECK(dns_name_allowed("*.shop.svc", "*.shop.svc"));
  CHECK_FALSE(dns_name_allowed("*.shop.svc", "a.cart.shop.svc"));
  CHECK_FALSE(dns_name_allowed("*.shop.svc", "shop.svc"));
  CHECK_FALSE(dns_name_allowed("cart.shop.svc", "*.shop.svc"));
}

}  // namespace cortexflow::identity
