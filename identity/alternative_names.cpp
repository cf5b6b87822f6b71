// SPDX-License-Identifier: Apache-2.0
// subjectAltName, both ways.
#include "identity/csr.h"
#include "identity/dns_name.h"

namespace cortexflow::identity {
namespace {

constexpr std::size_t kDnsNamesMax = 64;

std::string_view text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

bool add_name(GENERAL_NAMES* names, int type, const std::string& text) {
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  GENERAL_NAME* name = GENERAL_NAME_new();
  if (value == nullptr || name == nullptr || ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) != 1) {
    ASN1_IA5STRING_free(value);
    GENERAL_NAME_free(name);
    return false;
  }
  GENERAL_NAME_set0_value(name, type, value);
  if (sk_GENERAL_NAME_push(names, name) > 0) return true;
  GENERAL_NAME_free(name);
  return false;
}

}  // namespace

Result<NamesRead> read_names(const GENERAL_NAMES& names) {
  std::vector<std::string_view> uris;
  std::vector<std::string> dns_names;
  for (int i = 0; i < sk_GENERAL_NAME_num(&names); ++i) {
    int type = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(&names, i), &type);
    if (type == GEN_URI) {
      uris.push_back(text_of(static_cast<const ASN1_STRING*>(value)));
    } else if (type == GEN_DNS) {
      const auto name = text_of(static_cast<const ASN1_STRING*>(value));
      if (!is_dns_name(name)) return fail("an alternative name is no DNS name");
      dns_names.emplace_back(name);
    } else {
      return fail("it has an alternative name that is neither a URI nor a DNS name");
    }
  }
  if (uris.size() != 1)
    return fail("it has {} URIs as alternative names; expected exactly one, a SPIFFE ID", uris.size());
  if (dns_names.size() > kDnsNamesMax)
    return fail("it has {} DNS names; at most {} are taken", dns_names.size(), kDnsNamesMax);
  auto id = SpiffeId::parse(uris.front());
  if (!id) return tl::make_unexpected(std::move(id.error()));
  return NamesRead{std::move(*id), std::move(dns_names)};
}

Result<NamesRead> names_of(const X509& certificate) {
  int critical = 0;
  const Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  if (!names) return fail("it has {} subjectAltName", critical == -2 ? "more than one" : "no readable");
  return read_names(*names);
}

Result<Extension> alternative_names(const SpiffeId& id, const std::vector<std::string>& dns_names, bool critical) {
  const Names names(GENERAL_NAMES_new());
  bool added = names && add_name(names.get(), GEN_URI, id.text());
  for (const auto& name : dns_names) added = added && add_name(names.get(), GEN_DNS, name);
  Extension extension(added ? X509V3_EXT_i2d(NID_subject_alt_name, critical ? 1 : 0, names.get()) : nullptr);
  if (!extension) return fail_openssl("cannot make the alternative names");
  return extension;
}

}  // namespace cortexflow::identity
