// SPDX-License-Identifier: Apache-2.0
// Any octets as what strangers give cfidentity, and what its own files may have become: a signing request, a body, a
// SPIFFE ID, certificates, settings, a record of the ledger. Refused in words, or what was understood holds together.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "identity/certificates.h"
#include "identity/csr.h"
#include "identity/daemon/requests.h"
#include "identity/daemon/settings.h"
#include "identity/dns_name.h"
#include "identity/keys.h"
#include "identity/ledger_record.h"
#include "identity/verification.h"

namespace {

using namespace cortexflow::identity;

void require(bool holds) {
  if (!holds) std::abort();
}

template <typename Read>
void says_why(const Read& read) {
  if (!read) require(!read.error().message.empty());
}

void try_csr(std::string_view text) {
  const auto csr = parse_csr(text);
  says_why(csr);
  if (!csr) return;
  require(SpiffeId::parse(csr->id.text()).has_value());
  require(check_public_key(csr->public_key.get()).has_value());
  for (const auto& name : csr->dns_names) require(is_dns_name(name));
}

void try_id(std::string_view text) {
  const auto id = SpiffeId::parse(text);
  says_why(id);
  if (id)
    require(id->text() == text && "spiffe://" + std::string(id->trust_domain()) + std::string(id->path()) == text);
}

void try_record(std::string_view text) {
  const auto record = parse_ledger_record(text);
  says_why(record);
  if (!record) return;
  const auto again = text_of(*record);
  const auto read = parse_ledger_record(again);
  require(read.has_value() && text_of(*read) == again);
}

void try_certificates(std::string_view text) {
  const auto certificates = read_certificates(text);
  says_why(certificates);
  if (!certificates) return;
  std::vector<X509*> chain;
  for (const auto& one : *certificates) {
    chain.push_back(one.get());
    says_why(names_of(*one));
  }
  says_why(verify_chain(chain, {chain.back()}, Time(std::chrono::hours(500'000))));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_csr(text);
  try_id(text);
  try_record(text);
  try_certificates(text);
  says_why(parse_settings(text));
  says_why(parse_revoke(text));
  says_why(parse_verify(text));
  says_why(parse_rotation(text));
  const auto issue = parse_issue(text);
  says_why(issue);
  if (issue) try_csr(issue->csr);
  return 0;
}
