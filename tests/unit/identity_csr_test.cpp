// SPDX-License-Identifier: Apache-2.0
#include <openssl/pem.h>

#include "identity/keys.h"
#include "tests/unit/identity_fixture.h"

namespace cortexflow::identity {
using test::key_of;
using test::spiffe_id;

namespace {

using Extras = std::vector<std::pair<int, const char*>>;

// A request with these extensions, in OpenSSL's words, signed with that digest by that key.
std::string request_with(EVP_PKEY* key, const Extras& extras, const EVP_MD* digest = EVP_sha256(),
                         EVP_PKEY* signer = nullptr) {
  const SigningRequest request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), key);
  STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
  for (const auto& [nid, value] : extras) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, nullptr, nullptr, request.get(), nullptr, 0);
    sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  }
  if (!extras.empty()) X509_REQ_add_extensions(request.get(), list);
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  REQUIRE(X509_REQ_sign(request.get(), signer == nullptr ? key : signer, digest) > 0);
  return der_of(request.get(), i2d_X509_REQ);
}

constexpr const char* kUri = "URI:spiffe://example.org/ns/shop/sa/cart";

}  // namespace

TEST_CASE("a request that cfcli makes is read back, whatever its key") {
  for (const auto type : {KeyType::kEcP256, KeyType::kEcP384, KeyType::kRsa2048}) {
    const auto key = key_of(type);
    const auto pem = make_csr(key.get(), spiffe_id(), {"cart.shop.svc"});
    REQUIRE(pem.has_value());
    const auto csr = parse_csr(*pem);
    REQUIRE(csr.has_value());
    CHECK(csr->id == spiffe_id());
    CHECK(csr->dns_names == std::vector<std::string>{"cart.shop.svc"});
    CHECK(EVP_PKEY_eq(csr->public_key.get(), key.get()) == 1);
  }
}

TEST_CASE("requests that ask for what can't be had are refused, each with its reason") {
  const auto key = key_of();
  struct Row {
    std::string sentence, request, word;
  };
  const Key small(EVP_RSA_gen(1024U));
  const Key curve(EVP_EC_gen("P-521"));
  const Key edwards(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const auto other = key_of();
  auto good = request_with(key.get(), {{NID_subject_alt_name, kUri}});
  REQUIRE(parse_csr(good).has_value());
  auto flipped = good;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  const std::vector<Row> rows{
      {"nothing", "", "empty"},
      {"text", "hello", "PKCS#10"},
      {"cut", good.substr(0, good.size() - 1), "PKCS#10"},
      {"something behind it", good + "x", "PKCS#10"},
      {"too long", good + std::string(kCsrMax, 'x'), "longer"},
      {"a bit of the signature flipped", flipped, "signature"},
      {"another's key", request_with(key.get(), {{NID_subject_alt_name, kUri}}, EVP_sha256(), other.get()),
       "signature"},
      {"SHA-1", request_with(key.get(), {{NID_subject_alt_name, kUri}}, EVP_sha1()), "SHA-1"},
      {"RSA of 1024 bits", request_with(small.get(), {{NID_subject_alt_name, kUri}}), "1024"},
      {"P-521", request_with(curve.get(), {{NID_subject_alt_name, kUri}}), "P-384"},
      {"Ed25519", request_with(edwards.get(), {{NID_subject_alt_name, kUri}}, nullptr), "ED25519"},
      {"no names", request_with(key.get(), {}), "subjectAltName"},
      {"DNS names alone", request_with(key.get(), {{NID_subject_alt_name, "DNS:a.b"}}), "0 URIs"},
      {"two URIs", request_with(key.get(), {{NID_subject_alt_name, "URI:spiffe://td/a,URI:spiffe://td/b"}}), "2 URIs"},
      {"a URI that is no SPIFFE ID", request_with(key.get(), {{NID_subject_alt_name, "URI:https://td/a"}}),
       "spiffe://"},
      {"a trust domain's ID", request_with(key.get(), {{NID_subject_alt_name, "URI:spiffe://td"}}), "no path"},
      {"an address", request_with(key.get(), {{NID_subject_alt_name, "URI:spiffe://td/a,IP:192.0.2.1"}}), "neither"},
      {"a DNS name that is none", request_with(key.get(), {{NID_subject_alt_name, "URI:spiffe://td/a,DNS:a b"}}),
       "DNS"},
      {"names twice", request_with(key.get(), {{NID_subject_alt_name, kUri}, {NID_subject_alt_name, kUri}}),
       "more than one"},
      {"to be an authority",
       request_with(key.get(), {{NID_subject_alt_name, kUri}, {NID_basic_constraints, "CA:TRUE"}}), "CA:TRUE"},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    const auto csr = parse_csr(row.request);
    REQUIRE_FALSE(csr.has_value());
    INFO(csr.error().message);
    CHECK(csr.error().message.find(row.word) != std::string::npos);
    CHECK(ERR_peek_error() == 0);
  }
}

TEST_CASE("a key sealed with a passphrase opens with that one alone") {
  const auto key = key_of();
  const auto sealed = sealed_key_pem(key.get(), Secret("correct horse battery"));
  REQUIRE(sealed.has_value());
  CHECK(sealed->starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
  const auto opened = read_private_key(*sealed, Secret("correct horse battery"));
  REQUIRE(opened.has_value());
  CHECK(EVP_PKEY_eq(opened->get(), key.get()) == 1);
  CHECK_FALSE(read_private_key(*sealed, Secret("wrong horse battery")).has_value());
  CHECK_FALSE(read_private_key(*sealed, Secret()).has_value());
  const auto clear = private_key_pem(key.get());
  REQUIRE(clear.has_value());
  CHECK(read_private_key(clear->view(), Secret()).has_value());
}

}  // namespace cortexflow::identity
