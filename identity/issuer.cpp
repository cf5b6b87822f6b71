// SPDX-License-Identifier: Apache-2.0
#include "identity/issuer.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "identity/certificates.h"
#include "identity/csr.h"
#include "identity/dns_name.h"

namespace cortexflow::identity {
namespace {

const WorkloadRule* rule_for(const std::vector<WorkloadRule>& rules, const std::string& id) {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const WorkloadRule& r) { return r.id.text() == id; });
  return found == rules.end() ? nullptr : &*found;
}

bool dns_allowed(const WorkloadRule& rule, const std::string& name) {
  return std::any_of(rule.dns_names.begin(), rule.dns_names.end(),
                     [&](const std::string& pattern) { return dns_name_allowed(pattern, name); });
}

}  // namespace

Issuer::Issuer(Authorities& authorities, Ledger& ledger, IssuerPolicy policy, std::function<Time()> clock)
    : authorities_(authorities),
      ledger_(ledger),
      lists_(ledger),
      policy_(std::move(policy)),
      clock_(std::move(clock)) {}

void Issuer::set_mapping(Mapping mapping) {
  {
    const std::lock_guard lock(mutex_);
    mapping_ = std::make_shared<const Mapping>(std::move(mapping));
  }
  listener_(Change::kMapping);
}

std::vector<WorkloadRule> Issuer::identities_of(const Caller& caller) const {
  std::shared_ptr<const Mapping> mapping;
  {
    const std::lock_guard lock(mutex_);
    mapping = mapping_;
  }
  return mapping->of(caller);
}

Principal Issuer::principal_of(const Caller& caller) const {
  return {fmt::format("uid {}, gid {}, cgroup {}", caller.uid, caller.gid,
                      caller.cgroup.empty() ? "unknown" : caller.cgroup),
          caller.uid == 0 || caller.uid == geteuid(), identities_of(caller)};
}

tl::unexpected<Refusal> Issuer::refuse(int status, const std::string& why, Error error) const {
  const std::lock_guard lock(mutex_);
  ++refused_[why];
  return tl::make_unexpected(Refusal{status, std::move(error)});
}

Answer<Grant> Issuer::issue(const Principal& who, std::string_view csr, std::optional<std::chrono::seconds> lifetime) {
  auto asked = parse_csr(csr);
  if (!asked) return refuse(400, "request", std::move(asked.error()));
  const auto& id = asked->id;
  if (id.trust_domain() != policy_.trust_domain) {
    return refuse(403, "trust_domain",
                  {fmt::format("{} is of another trust domain than {}", id.text(), policy_.trust_domain), {}});
  }
  if (!who.is_operator) {
    const auto* rule = rule_for(who.identities, id.text());
    if (rule == nullptr) {
      return refuse(403, "identity",
                    {fmt::format("{} is not {}", who.text, id.text()),
                     "an entry of `workloads` in identity.yaml, or the service account of the token, says who is"});
    }
    for (const auto& name : asked->dns_names) {
      if (dns_allowed(*rule, name)) continue;
      return refuse(
          403, "dns_name",
          {fmt::format("{} may not have the DNS name {}", id.text(), name),
           "`dns_names` of its entry of `workloads`, or of `token_review`, in identity.yaml says which it may have"});
    }
  }
  const auto wanted = lifetime.value_or(policy_.lifetime);
  if (wanted < kLifetimeMin || wanted > policy_.lifetime_max) {
    return refuse(
        400, "lifetime",
        {fmt::format("a lifetime of {} s; expected {} to {}", wanted.count(),
                     std::chrono::seconds(kLifetimeMin).count(), policy_.lifetime_max.count()),
         wanted < kLifetimeMin ? "ask for a longer one" : "`certificates.lifetime_max` in identity.yaml is the limit"});
  }
  return sign({id, std::move(asked->dns_names), asked->public_key.get(), wanted, policy_.crl_url});
}

Answer<Grant> Issuer::issue(const WorkloadRule& rule, EVP_PKEY& public_key) {
  std::vector<std::string> names;
  std::copy_if(rule.dns_names.begin(), rule.dns_names.end(), std::back_inserter(names),
               [](const std::string& name) { return !name.starts_with('*'); });
  return sign({rule.id, std::move(names), &public_key, policy_.lifetime, policy_.crl_url});
}

Answer<Grant> Issuer::sign(const Subject& subject) {
  const std::shared_lock one_authority(rotation_);
  const auto now = clock_();
  const auto set = authorities_.current();
  auto issued = set->active().issue(subject, now);
  if (!issued) return refuse(500, "authority", std::move(issued.error()));
  auto* leaf = issued->leaf.get();
  const Entry entry{
      serial_text(leaf), subject.id.text(), set->active().id(), not_before(leaf), not_after(leaf), std::nullopt, 0, 0};
  // Before anybody gets it: one that is not in the ledger could never be revoked.
  if (auto kept = ledger_.issued(entry, now); !kept) {
    const bool full = !ledger_.has_room(entry.id);
    return refuse(full ? 507 : 500, full ? "full" : "ledger", std::move(kept.error()));
  }
  ++issued_;
  return Grant{std::move(*issued), entry};
}

Answer<Entry> Issuer::revoke(const Principal& who, const std::string& serial, int reason) {
  if (!who.is_operator) {
    const auto entry = ledger_.find(serial);
    // No more is said, or it would tell which serials there are.
    if (!entry || rule_for(who.identities, entry->id) == nullptr) {
      return refuse(403, "identity",
                    {fmt::format("{} has no certificate {}", who.text, serial), "root may revoke any"});
    }
  }
  auto revoked = ledger_.revoke(serial, reason, clock_());
  if (!revoked) return refuse(ledger_.find(serial) ? 500 : 404, "ledger", std::move(revoked.error()));
  lists_.outdate(revoked->issuer);
  ++revoked_;
  listener_(Change::kRevocations);
  return std::move(*revoked);
}

std::vector<Entry> Issuer::entries(const Principal& who) const {
  auto all = ledger_.entries();
  if (who.is_operator) return all;
  std::erase_if(all, [&](const Entry& entry) { return rule_for(who.identities, entry.id) == nullptr; });
  return all;
}

Verdict Issuer::verify(std::string_view chain_pem) const {
  auto chain = read_certificates(chain_pem);
  if (!chain) return {chain.error().message, std::nullopt};
  std::vector<X509*> certificates;
  for (const auto& one : *chain) certificates.push_back(one.get());
  const auto set = authorities_.current();
  auto verified = verify_chain(certificates, set->roots(), clock_());
  if (!verified) return {verified.error().message, std::nullopt};
  const auto entry = ledger_.find(verified->serial);
  if (entry && entry->revoked) return {"certificate revoked", std::move(*verified)};
  return {"", std::move(*verified)};
}

Answer<Lists> Issuer::lists(const std::optional<std::string>& issuer) {
  const auto set = authorities_.current();
  const auto* authority = issuer ? set->find(*issuer) : &set->active();
  if (authority == nullptr) {
    return refuse(404, "issuer", {fmt::format("there is no authority {}", *issuer), "see GET /v1/bundle"});
  }
  auto lists = lists_.current(*authority, clock_());
  if (!lists) return refuse(500, "ledger", std::move(lists.error()));
  return std::move(*lists);
}

Answer<void> Issuer::rotate(const Principal& who, const std::function<Result<void>()>& step) {
  if (!who.is_operator) {
    return refuse(403, "identity", {"the authority's keys are rotated by root alone", "use sudo"});
  }
  {
    const std::unique_lock nobody_signs(rotation_);
    if (auto done = step(); !done) return refuse(409, "rotation", std::move(done.error()));
  }
  listener_(Change::kAuthorities);
  return {};
}

Answer<void> Issuer::prepare(const Principal& who) {
  return rotate(who, [this] { return authorities_.prepare(clock_()); });
}

Answer<void> Issuer::activate(const Principal& who) {
  return rotate(who, [this] { return authorities_.activate(); });
}

Result<void> Issuer::replace_authority(Authority authority, std::vector<Certificate> extra_roots) {
  {
    const std::unique_lock nobody_signs(rotation_);
    auto replaced = authorities_.replace(
        std::move(authority), std::move(extra_roots), [this](const std::string& id) { return ledger_.last_end(id); },
        clock_());
    if (!replaced) return replaced;
    lists_.outdate(authorities_.current()->active().id());  // the same key may have another name now
  }
  listener_(Change::kAuthorities);
  return {};
}

Result<void> Issuer::recall_roots() {
  return authorities_.recall([this](const std::string& id) { return ledger_.last_end(id); }, clock_());
}

Result<void> Issuer::retire() {
  Result<bool> retired = false;
  {
    const std::unique_lock nobody_signs(rotation_);
    retired = authorities_.retire([this](const std::string& id) { return ledger_.last_end(id); }, clock_());
  }
  if (!retired) return tl::make_unexpected(retired.error());
  if (*retired) listener_(Change::kAuthorities);
  return {};
}

IssuerFigures Issuer::figures() const {
  const std::lock_guard lock(mutex_);
  return {refused_, issued_, revoked_};
}

}  // namespace cortexflow::identity
