// SPDX-License-Identifier: Apache-2.0
#include "identity/workload/svids.h"

#include "identity/certificates.h"
#include "identity/renewal.h"

namespace cortexflow::identity {
namespace {

Answer<Svid> make_svid(Issuer& issuer, const WorkloadRule& rule) {
  const auto key = generate_key(KeyType::kEcP256);
  if (!key) return tl::make_unexpected(Refusal{500, key.error()});
  auto octets = private_key_der(key->get());
  if (!octets) return tl::make_unexpected(Refusal{500, octets.error()});
  const auto grant = issuer.issue(rule, **key);
  if (!grant) return tl::make_unexpected(grant.error());
  const auto& entry = grant->entry;
  std::string chain;
  for (const auto& der : grant->certificate.chain) chain += der;
  return Svid{rule.id.text(), std::move(chain), std::move(*octets),
              entry.serial,   entry.not_after,  renewal_time(entry.not_before, entry.not_after, draw_jitter())};
}

Made made_of(const std::vector<WorkloadRule>& rules, const Caller& caller) {
  Made made;
  if (rules.empty()) {
    made.refusal = Refusal{403,
                           {fmt::format("uid {}, gid {}, cgroup {} has no identity here", caller.uid, caller.gid,
                                        caller.cgroup.empty() ? "unknown" : caller.cgroup),
                            "an entry of `workloads` in identity.yaml gives one"}};
  } else if (rules.size() > kIdentitiesMax) {
    made.refusal = Refusal{
        507,
        {fmt::format("uid {} has {} identities; at most {} are served", caller.uid, rules.size(), kIdentitiesMax),
         "narrow its entries of `workloads` in identity.yaml"}};
  } else {
    for (const auto& rule : rules) made.ids.push_back(rule.id.text());
  }
  return made;
}

}  // namespace

Made make_svids(Issuer& issuer, const Caller& caller, const std::set<std::string>& standing) {
  const auto rules = issuer.identities_of(caller);
  auto made = made_of(rules, caller);
  if (made.refusal) return made;
  for (const auto& rule : rules) {
    if (standing.contains(rule.id.text())) continue;
    auto svid = make_svid(issuer, rule);
    if (svid) {
      made.svids.push_back(std::move(*svid));
    } else if (!made.refusal) {
      made.refusal = std::move(svid.error());
    }
  }
  return made;
}

Made identities(const Issuer& issuer, const Caller& caller) { return made_of(issuer.identities_of(caller), caller); }

Answer<Trust> make_trust(Issuer& issuer) {
  const auto set = issuer.authorities();
  Trust trust;
  trust.made = issuer.now();
  trust.data.trust_domain = issuer.policy().trust_domain;
  for (const auto* root : set->roots()) trust.data.bundle += der_of(root);
  std::vector<std::string> lists;
  std::size_t size = 0;
  for (const auto& one : set->held) {
    auto made = issuer.lists(one.authority->id());
    if (!made) return tl::make_unexpected(std::move(made.error()));
    size += made->complete.size();
    lists.push_back(std::move(made->complete));
  }
  trust.lists_fit = size <= kListsMax;
  if (!trust.lists_fit) lists.clear();
  trust.data.svid_lists = std::make_shared<const std::string>(list_fields(lists, Answering::kSvids));
  trust.data.bundle_lists = std::make_shared<const std::string>(list_fields(lists, Answering::kBundles));
  return trust;
}

}  // namespace cortexflow::identity
