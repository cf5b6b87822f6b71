// SPDX-License-Identifier: Apache-2.0
// A certificate authority: a key and the chain that vouches for it.  Signs X.509-SVIDs and revocation lists; knows no
// files, and remembers nothing of what it signed.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "identity/keys.h"
#include "identity/openssl.h"
#include "identity/spiffe_id.h"

namespace cortexflow::identity {

using Time = std::chrono::system_clock::time_point;

inline constexpr std::chrono::hours kLifetimeMin{1};
inline constexpr std::chrono::hours kLifetimeMax{365 * 24};
inline constexpr std::chrono::minutes kBackdate{5};  // what the clocks of two machines may differ by

struct Subject {
  SpiffeId id;
  std::vector<std::string> dns_names;
  EVP_PKEY* public_key;
  std::chrono::seconds lifetime;  // kLifetimeMin to kLifetimeMax
  std::string crl_url = {};       // below it are the issuer's revocation lists; empty: nowhere
};

struct Issued {
  Certificate leaf;
  std::vector<std::string> chain;  // DER, the leaf first; without the root
};

struct RevokedEntry {
  std::string serial;  // hexadecimal
  Time revoked;
  int reason = 0;  // CRLReason, RFC 5280 5.3.1
};

struct ListContent {
  std::vector<RevokedEntry> entries;
  std::uint64_t number = 0;
  std::optional<std::uint64_t> base;  // a delta to the list of that number
  Time this_update, next_update;
};

class Authority {
 public:
  // A root of its own: signs itself.
  [[nodiscard]] static Result<Authority> make_root(const std::string& trust_domain, KeyType type,
                                                   std::chrono::hours lifetime, Time now);
  // `chain` begins with the authority's own certificate; each is signed by the next, and the last by itself.  Refused
  // unless it holds at `now`, may sign certificates and lists, and `key` is its key.
  [[nodiscard]] static Result<Authority> load(std::vector<Certificate> chain, Key key, const std::string& trust_domain,
                                              Time now);

  // Not before kBackdate ago, never beyond what the chain holds.  What comes back was verified against the root.
  [[nodiscard]] Result<Issued> issue(const Subject& subject, Time now) const;
  // DER.
  [[nodiscard]] Result<std::string> list(const ListContent& content) const;

  [[nodiscard]] const std::string& id() const { return id_; }  // of its key, hexadecimal
  [[nodiscard]] X509* certificate() const { return chain_.front().get(); }
  [[nodiscard]] X509* root() const { return chain_.back().get(); }
  [[nodiscard]] EVP_PKEY* key() const { return key_.get(); }
  [[nodiscard]] std::string chain_pem() const;
  [[nodiscard]] Time ends() const { return ends_; }  // the first of its chain to end

 private:
  Authority(std::vector<Certificate> chain, Key key);
  [[nodiscard]] Result<void> verify(X509* leaf, Time now) const;

  std::vector<Certificate> chain_;
  Key key_;
  std::string id_;
  Time ends_;
};

}  // namespace cortexflow::identity
