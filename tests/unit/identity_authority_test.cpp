// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "identity/signing.h"
#include "identity/verification.h"
#include "tests/unit/identity_fixture.h"

namespace cortexflow::identity {
using namespace std::chrono_literals;
using test::key_of;
using test::kNoon;
using test::root_authority;
using test::spiffe_id;

namespace {

Result<Issued> issue(const Authority& authority, EVP_PKEY* key, std::chrono::seconds lifetime = 24h, Time now = kNoon) {
  return authority.issue({spiffe_id(), {"cart.shop.svc"}, key, lifetime}, now);
}

struct Intermediate {
  const char* constraints = "critical,CA:TRUE";
  const char* usage = "critical,keyCertSign,cRLSign";
  const char* name_constraints = nullptr;
  Time ends = kNoon + std::chrono::hours(24 * 30);
};

Result<Authority> intermediate(const Authority& root, const Intermediate& how, Time now = kNoon) {
  auto key = key_of();
  Certificate made(X509_new());
  X509_set_version(made.get(), X509_VERSION_3);
  REQUIRE(set_random_serial(made.get()));
  X509_set_pubkey(made.get(), key.get());
  REQUIRE(set_time(X509_getm_notBefore(made.get()), kNoon - 1h));
  REQUIRE(set_time(X509_getm_notAfter(made.get()), how.ends));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("intermediate"), -1, -1, 0);
  X509_set_issuer_name(made.get(), X509_get_subject_name(root.certificate()));
  REQUIRE(add_extension(made.get(), root.certificate(), NID_basic_constraints, how.constraints));
  REQUIRE(add_extension(made.get(), root.certificate(), NID_key_usage, how.usage));
  REQUIRE(add_extension(made.get(), root.certificate(), NID_subject_key_identifier, "hash"));
  REQUIRE(add_extension(made.get(), root.certificate(), NID_authority_key_identifier, "keyid:always"));
  if (how.name_constraints != nullptr) {
    REQUIRE(add_extension(made.get(), root.certificate(), NID_name_constraints, how.name_constraints));
  }
  REQUIRE(X509_sign(made.get(), root.key(), EVP_sha256()) > 0);
  std::vector<Certificate> chain;
  chain.push_back(std::move(made));
  chain.push_back(copy_of(root.certificate()));
  return Authority::load(std::move(chain), std::move(key), "example.org", now);
}

}  // namespace

TEST_CASE("an SVID has what X509-SVID and RFC 5280 ask for, whatever the authority's key") {
  for (const auto type : {KeyType::kEcP256, KeyType::kEcP384, KeyType::kRsa2048}) {
    const auto authority = root_authority(type);
    const auto key = key_of();
    const auto issued = issue(authority, key.get());
    REQUIRE(issued.has_value());
    auto* leaf = issued->leaf.get();
    CHECK(X509_get_version(leaf) == X509_VERSION_3);
    CHECK(X509_check_ca(leaf) == 0);
    CHECK(X509_get_key_usage(leaf) == KU_DIGITAL_SIGNATURE);
    CHECK(X509_get_extended_key_usage(leaf) == (XKU_SSL_SERVER | XKU_SSL_CLIENT));
    CHECK(X509_NAME_entry_count(X509_get_subject_name(leaf)) == 0);
    CHECK(issuer_key_id(leaf) == authority.id());
    CHECK(key_id(leaf).size() == 40);
    CHECK(serial_text(leaf).size() == 40);
    CHECK(not_before(leaf) == kNoon - kBackdate);
    CHECK(not_after(leaf) == kNoon + 24h);
    int critical = 0;
    const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, nullptr)));
    CHECK(critical == 1);  // as there is no subject
    const auto read = read_names(*names);
    REQUIRE(read.has_value());
    CHECK(read->id == spiffe_id());
    CHECK(read->dns_names == std::vector<std::string>{"cart.shop.svc"});
    CHECK(issued->chain.size() == 1);  // without the root
  }
}

TEST_CASE("lifetimes are an hour to a year, and never beyond the authority's own end") {
  const auto authority = root_authority();
  const auto key = key_of();
  CHECK(issue(authority, key.get(), 1h).has_value());
  CHECK(issue(authority, key.get(), 365 * 24h).has_value());
  CHECK_FALSE(issue(authority, key.get(), 1h - 1s).has_value());
  CHECK_FALSE(issue(authority, key.get(), 365 * 24h + 1s).has_value());
  const auto late = issue(authority, key.get(), 24h, authority.ends() - 3h);
  REQUIRE(late.has_value());
  CHECK(not_after(late->leaf.get()) == authority.ends());
  CHECK_FALSE(issue(authority, key.get(), 24h, authority.ends()).has_value());
}

TEST_CASE("serial numbers don't come twice") {
  const auto authority = root_authority();
  const auto key = key_of();
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) seen.insert(serial_text(issue(authority, key.get())->leaf.get()));
  CHECK(seen.size() == 200);
}

TEST_CASE("an intermediate issues under its root, unless it can't vouch for workloads") {
  const auto root = root_authority();
  const auto key = key_of();
  const auto good = intermediate(root, {.constraints = "critical,CA:TRUE,pathlen:0"});
  REQUIRE(good.has_value());
  const auto issued = issue(*good, key.get(), 365 * 24h);
  REQUIRE(issued.has_value());
  CHECK(issued->chain.size() == 2);
  CHECK(not_after(issued->leaf.get()) == kNoon + 30 * 24h);
  CHECK(intermediate(root, {.name_constraints = "critical,permitted;URI:example.org"}).has_value());

  const std::vector<std::pair<std::string, Intermediate>> rows{
      {"no authority", {.constraints = "critical,CA:FALSE"}},
      {"may not sign certificates", {.usage = "critical,cRLSign"}},
      {"may not sign lists", {.usage = "critical,keyCertSign"}},
      {"constrained to other names", {.name_constraints = "critical,permitted;URI:other.org"}},
      {"ended", {.ends = kNoon - 1s}},
  };
  for (const auto& [sentence, how] : rows) {
    INFO(sentence);
    const auto refused = intermediate(root, how);
    CHECK_FALSE(refused.has_value());
  }
  std::vector<Certificate> chain;
  chain.push_back(copy_of(good->certificate()));
  CHECK_FALSE(Authority::load(std::move(chain), key_of(), "example.org", kNoon).has_value());  // another's key
}

TEST_CASE("a chain is verified against the roots it is given, in its time, as a workload's") {
  const auto root = root_authority();
  const auto other = root_authority();
  const auto key = key_of();
  const auto issued = issue(root, key.get());
  auto* leaf = issued->leaf.get();
  const auto verified = verify_chain({leaf}, {root.root()}, kNoon);
  REQUIRE(verified.has_value());
  CHECK(verified->id == spiffe_id());
  CHECK(verified->serial == serial_text(leaf));
  CHECK(verified->issuer == root.id());
  CHECK(verify_chain({leaf}, {other.root(), root.root()}, kNoon).has_value());
  CHECK_FALSE(verify_chain({leaf}, {other.root()}, kNoon).has_value());
  CHECK_FALSE(verify_chain({leaf}, {root.root()}, kNoon + 25h).has_value());
  CHECK_FALSE(verify_chain({leaf}, {root.root()}, kNoon - 1h).has_value());
  CHECK_FALSE(verify_chain({root.root()}, {root.root()}, kNoon).has_value());
  CHECK_FALSE(verify_chain({}, {root.root()}, kNoon).has_value());
}

TEST_CASE("revocation lists have number, issuer, entries with reasons; deltas name their base") {
  const auto root = root_authority();
  const ListContent content{{{"4aff", kNoon, 1}, {"01", kNoon, 0}}, 7, std::nullopt, kNoon, kNoon + 24h};
  const auto der = root.list(content);
  REQUIRE(der.has_value());
  const auto* at = reinterpret_cast<const unsigned char*>(der->data());
  const RevocationList list(d2i_X509_CRL(nullptr, &at, static_cast<long>(der->size())));
  REQUIRE(list);
  CHECK(X509_CRL_verify(list.get(), root.key()) == 1);
  CHECK(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(list.get())) == 2);
  const Integer number(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(list.get(), NID_crl_number, nullptr, nullptr)));
  CHECK(ASN1_INTEGER_get(number.get()) == 7);
  CHECK(X509_CRL_get_ext_by_NID(list.get(), NID_delta_crl, -1) < 0);
  CHECK(X509_CRL_get_ext_by_NID(list.get(), NID_authority_key_identifier, -1) >= 0);

  auto delta = content;
  delta.base = 5;
  const auto delta_der = root.list(delta);
  REQUIRE(delta_der.has_value());
  at = reinterpret_cast<const unsigned char*>(delta_der->data());
  const RevocationList read(d2i_X509_CRL(nullptr, &at, static_cast<long>(delta_der->size())));
  int critical = 0;
  const Integer base(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(read.get(), NID_delta_crl, &critical, nullptr)));
  REQUIRE(base);
  CHECK(ASN1_INTEGER_get(base.get()) == 5);
  CHECK(critical == 1);
}

}  // namespace cortexflow::identity
