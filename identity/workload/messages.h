// SPDX-License-Identifier: Apache-2.0
// The answers of the SPIFFE Workload API (workload.proto), as gRPC frames them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "identity/issuer.h"
#include "identity/secret.h"

namespace cortexflow::identity {

// What a workload holds.
struct Svid {
  std::string id;      // SPIFFE ID
  std::string chain;   // DER, one after the other, the leaf first
  Secret key;          // PKCS#8 in DER
  std::string serial;  // of the leaf
  Time ends, renew_at;
};

// What all are told: made once for each change, and then never changed.
struct TrustData {
  std::string bundle;  // DER of the roots, one after the other
  // The end of each answer: the revocation lists, as its fields.
  std::shared_ptr<const std::string> svid_lists, bundle_lists;
  std::string trust_domain;
};

// Without the lists, which follow.
[[nodiscard]] Secret x509_svid_response(const std::vector<Svid>& svids, const TrustData& trust);
[[nodiscard]] Secret x509_bundles_response(const TrustData& trust);

// The fields of the revocation lists in an answer: each DER.
enum class Answering : unsigned { kBundles = 1, kSvids = 2 };  // the field's number
[[nodiscard]] std::string list_fields(const std::vector<std::string>& lists, Answering answering);

}  // namespace cortexflow::identity
