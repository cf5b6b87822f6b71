// SPDX-License-Identifier: Apache-2.0
#include "identity/workload/messages.h"

#include "agent/grpc/framing.h"
#include "agent/grpc/protobuf.h"

namespace cortexflow::identity {
namespace {

using grpc::octets_size;
using grpc::put_octets;

constexpr std::size_t kHeadMax = 16;  // octets of a tag and a length, and of gRPC's prefix

std::size_t size_of(const Svid& svid, const TrustData& trust) {
  return octets_size(svid.id.size()) + octets_size(svid.chain.size()) + octets_size(svid.key.view().size()) +
         octets_size(trust.bundle.size());
}

}  // namespace

// Sizes first: a string that grew would leave the keys where it was before.
Secret x509_svid_response(const std::vector<Svid>& svids, const TrustData& trust) {
  std::size_t size = 0;
  for (const auto& svid : svids) size += octets_size(size_of(svid, trust));
  std::string out;
  out.reserve(kHeadMax + size);
  out += grpc::prefix_of(size + trust.svid_lists->size());
  for (const auto& svid : svids) {
    out += static_cast<char>(1 << 3 | 2);  // svids, a message
    grpc::put_varint(out, size_of(svid, trust));
    put_octets(out, 1, svid.id);
    put_octets(out, 2, svid.chain);
    put_octets(out, 3, svid.key.view());
    put_octets(out, 4, trust.bundle);
  }
  return Secret::taking(out);
}

Secret x509_bundles_response(const TrustData& trust) {
  std::string entry;  // of a map: key, value
  put_octets(entry, 1, "spiffe://" + trust.trust_domain);
  put_octets(entry, 2, trust.bundle);
  std::string fields;
  put_octets(fields, 2, entry);
  return Secret(grpc::prefix_of(fields.size() + trust.bundle_lists->size()) + fields);
}

std::string list_fields(const std::vector<std::string>& lists, Answering answering) {
  std::string out;
  for (const auto& list : lists) put_octets(out, static_cast<unsigned>(answering), list);
  return out;
}

}  // namespace cortexflow::identity
