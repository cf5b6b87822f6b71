// SPDX-License-Identifier: Apache-2.0
#include "identity/csr.h"

#include <openssl/pem.h>

#include "identity/keys.h"

namespace cortexflow::identity {
namespace {

struct FreeExtensions {
  void operator()(STACK_OF(X509_EXTENSION) * list) const { sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free); }
};
using Extensions = std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions>;
using BasicConstraints = std::unique_ptr<BASIC_CONSTRAINTS, FreedBy<BASIC_CONSTRAINTS_free>>;

SigningRequest read_request(std::string_view text) {
  const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
  if (text.starts_with('\x30')) {  // a SEQUENCE in DER, all of the text
    const auto* at = octets;
    SigningRequest request(d2i_X509_REQ(nullptr, &at, static_cast<long>(text.size())));
    return at == octets + text.size() ? std::move(request) : nullptr;
  }
  const Bio memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  return SigningRequest(PEM_read_bio_X509_REQ(memory.get(), nullptr, nullptr, nullptr));
}

Result<void> check_signature(X509_REQ* request, EVP_PKEY* key) {
  int digest = NID_undef;
  OBJ_find_sigid_algs(X509_REQ_get_signature_nid(request), &digest, nullptr);
  if (digest == NID_md5 || digest == NID_sha1) return fail("it is signed by MD5 or SHA-1, which are broken");
  if (X509_REQ_verify(request, key) != 1) return fail_openssl("its signature is not of its key");
  return {};
}

Result<void> check_no_authority(const STACK_OF(X509_EXTENSION) * extensions) {
  int critical = 0;
  const BasicConstraints constraints(
      static_cast<BASIC_CONSTRAINTS*>(X509V3_get_d2i(extensions, NID_basic_constraints, &critical, nullptr)));
  if (critical == -2 || (constraints && constraints->ca != 0)) return fail("it asks to be an authority (CA:TRUE)");
  return {};
}

}  // namespace

Result<Csr> parse_csr(std::string_view text) {
  if (text.empty()) return fail("the request is empty");
  if (text.size() > kCsrMax) return fail("the request is longer than {} octets", kCsrMax);
  const auto request = read_request(text);
  if (!request) return fail_openssl("the request is no PKCS#10 in PEM or DER");
  Key key(X509_REQ_get_pubkey(request.get()));
  if (!key) return fail_openssl("the request has no key that is understood");
  if (auto checked = check_public_key(key.get()); !checked) return tl::make_unexpected(std::move(checked.error()));
  if (auto checked = check_signature(request.get(), key.get()); !checked) {
    return tl::make_unexpected(std::move(checked.error()).wrap("the request"));
  }
  const Extensions extensions(X509_REQ_get_extensions(request.get()));
  if (auto checked = check_no_authority(extensions.get()); !checked) {
    return tl::make_unexpected(std::move(checked.error()).wrap("the request"));
  }
  int critical = 0;
  const Names names(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  if (!names)
    return fail("the request has {} subjectAltName; expected a SPIFFE ID there",
                critical == -2 ? "more than one" : "no readable");
  auto read = read_names(*names);
  if (!read) return tl::make_unexpected(std::move(read.error()).wrap("the request"));
  return Csr{std::move(read->id), std::move(read->dns_names), std::move(key)};
}

Result<std::string> make_csr(EVP_PKEY* key, const SpiffeId& id, const std::vector<std::string>& dns_names) {
  auto names = alternative_names(id, dns_names, true);
  if (!names) return tl::make_unexpected(std::move(names.error()));
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  if (!extensions || sk_X509_EXTENSION_push(extensions.get(), names->get()) <= 0)
    return fail_openssl("cannot make a request");
  static_cast<void>(names->release());  // the list's now
  const SigningRequest request(X509_REQ_new());
  const Bio memory(BIO_new(BIO_s_mem()));
  if (!request || X509_REQ_set_version(request.get(), 0) != 1 || X509_REQ_set_pubkey(request.get(), key) != 1 ||
      X509_REQ_add_extensions(request.get(), extensions.get()) != 1 ||
      X509_REQ_sign(request.get(), key, EVP_sha256()) <= 0 ||
      PEM_write_bio_X509_REQ(memory.get(), request.get()) != 1) {
    return fail_openssl("cannot make a request");
  }
  char* octets = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &octets);
  return std::string(octets, static_cast<std::size_t>(size));
}

}  // namespace cortexflow::identity
