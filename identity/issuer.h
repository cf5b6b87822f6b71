// SPDX-License-Identifier: Apache-2.0
// What callers may have of the authority: each request is decided by who asks.  Of the callers on Unix sockets root,
// and the user that this process runs as, are the operator and may have anything; others what the mapping gives them.
// Safe to use from several threads.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "identity/authorities.h"
#include "identity/ledger.h"
#include "identity/mapping.h"
#include "identity/principal.h"
#include "identity/revocation_lists.h"
#include "identity/verification.h"

namespace cortexflow::identity {

struct Refusal {
  int status = 0;  // HTTP's: 400 wrong, 403 not theirs, 404 unknown, 409 not now, 500 failed, 507 full
  Error error;
};
template <typename T>
using Answer = tl::expected<T, Refusal>;

struct Grant {
  Issued certificate;
  Entry entry;
};

struct Verdict {
  std::string problem;  // empty: it holds
  std::optional<Verified> verified;
};

struct IssuerPolicy {
  std::string trust_domain;
  std::chrono::seconds lifetime{std::chrono::hours(24)};  // where none is asked for
  std::chrono::seconds lifetime_max{std::chrono::hours(24)};
  std::string crl_url = {};  // that certificates name, with the issuer's key id and .crl behind it; empty: none
};

// Since the start.
struct IssuerFigures {
  std::map<std::string, std::uint64_t> refused;  // by why
  std::uint64_t issued = 0;
  std::uint64_t revoked = 0;
};

class Issuer {
 public:
  // `authorities` and `ledger` have to outlive it; `clock` is asked from several threads.
  Issuer(Authorities& authorities, Ledger& ledger, IssuerPolicy policy, std::function<Time()> clock);

  // Called when the mapping, the authorities or what is revoked has changed, by the thread that changed it; set before
  // others use the issuer.
  enum class Change : std::uint8_t { kMapping, kAuthorities, kRevocations };
  void set_listener(std::function<void(Change)> listener) { listener_ = std::move(listener); }

  void set_mapping(Mapping mapping);
  [[nodiscard]] std::vector<WorkloadRule> identities_of(const Caller& caller) const;
  [[nodiscard]] Principal principal_of(const Caller& caller) const;

  [[nodiscard]] Answer<Grant> issue(const Principal& who, std::string_view csr,
                                    std::optional<std::chrono::seconds> lifetime);
  // To a caller whom identities_of() gave the rule: for the lifetime of the policy, with the DNS names that the rule
  // names without a wildcard.
  [[nodiscard]] Answer<Grant> issue(const WorkloadRule& rule, EVP_PKEY& public_key);
  // The operator any, a workload its own.
  [[nodiscard]] Answer<Entry> revoke(const Principal& who, const std::string& serial, int reason);
  // The operator all, a workload its own.
  [[nodiscard]] std::vector<Entry> entries(const Principal& who) const;
  [[nodiscard]] Verdict verify(std::string_view chain_pem) const;
  // Of one issuer by its key id, or of the active one.
  [[nodiscard]] Answer<Lists> lists(const std::optional<std::string>& issuer);
  // Of that issuer as it was made latest; nothing where it was not asked for yet.
  [[nodiscard]] std::optional<ListFigures> list_figures(const std::string& issuer) const {
    return lists_.figures(issuer);
  }
  [[nodiscard]] Answer<void> prepare(const Principal& who);
  [[nodiscard]] Answer<void> activate(const Principal& who);
  // The authority's files have changed: signs with this from now on.
  [[nodiscard]] Result<void> replace_authority(Authority authority, std::vector<Certificate> extra_roots);
  // At the start, of an authority from files: which roots of before are needed.
  [[nodiscard]] Result<void> recall_roots();
  // Now and then: previous roots of which nothing stands go.
  [[nodiscard]] Result<void> retire();

  [[nodiscard]] std::shared_ptr<const AuthoritySet> authorities() const { return authorities_.current(); }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] const IssuerPolicy& policy() const { return policy_; }
  [[nodiscard]] Time now() const { return clock_(); }
  [[nodiscard]] IssuerFigures figures() const;

 private:
  [[nodiscard]] Answer<Grant> sign(const Subject& subject);
  [[nodiscard]] tl::unexpected<Refusal> refuse(int status, const std::string& why, Error error) const;
  [[nodiscard]] Answer<void> rotate(const Principal& who, const std::function<Result<void>()>& step);

  Authorities& authorities_;
  Ledger& ledger_;
  RevocationLists lists_;
  const IssuerPolicy policy_;
  const std::function<Time()> clock_;
  std::function<void(Change)> listener_ = [](Change) {};
  mutable std::shared_mutex rotation_;  // shared while one signs, so that no authority retires in between
  mutable std::mutex mutex_;            // mapping_, refused_
  std::shared_ptr<const Mapping> mapping_ = std::make_shared<const Mapping>();
  mutable std::map<std::string, std::uint64_t> refused_;
  std::atomic<std::uint64_t> issued_ = 0, revoked_ = 0;
};

}  // namespace cortexflow::identity
