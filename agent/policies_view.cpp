// SPDX-License-Identifier: Apache-2.0
// Policies: what is shown of them.
#include <algorithm>
#include <array>

#include "agent/compile/policy_rules.h"
#include "agent/model/time_text.h"
#include "agent/operator_request.h"
#include "agent/policies.h"
#include "agent/policy_ends.h"

namespace cortexflow {
namespace {

constexpr std::size_t kRulesShown = 100;  // in the metrics
constexpr const char* kHeld = "what the agent before left is in force, as not all of the manifests can be read";

const char* action_name(model::PolicyAction action) {
  static constexpr std::array<const char*, 3> kNames{"ALLOW", "DENY", "AUDIT"};
  return kNames.at(static_cast<std::size_t>(action));
}

control::PolicyRow row_of(const model::AuthorizationPolicy& policy) {
  return {"AuthorizationPolicy",
          policy.name.ns + "/" + policy.name.name,
          policy.direction == model::PolicyDirection::kEgress ? "out" : "in",
          action_name(policy.action),
          policy.audit ? "audit" : "enforce",
          policy.rules.size(),
          0,
          0,
          ""};
}

control::PolicyRow row_of(const model::NetworkPolicy& policy) {
  const std::size_t rules = (policy.ingress ? policy.ingress->size() : 0) + (policy.egress ? policy.egress->size() : 0);
  return {"NetworkPolicy",
          policy.name.ns + "/" + policy.name.name,
          policy.ingress && policy.egress ? "both"
          : policy.egress                 ? "out"
                                          : "in",
          "ALLOW",
          "enforce",
          rules,
          0,
          0,
          ""};
}

// "NetworkPolicy shop/web" of "NetworkPolicy shop/web egress[0]"
std::string policy_of_rule(const std::string& rule) {
  auto name = rule.substr(0, rule.find('['));
  if (name.starts_with("NetworkPolicy ")) name.resize(name.rfind(' '));
  return name;
}

}  // namespace

std::vector<std::string> Policies::refusals() const {
  const std::lock_guard lock(mutex_);
  auto out = plan_.refusals;
  out.insert(out.end(), local_refusals_.begin(), local_refusals_.end());
  return out;
}

control::PolicyList Policies::policies() const {
  const std::lock_guard lock(mutex_);
  control::PolicyList out;
  std::map<std::string, std::uint64_t> hits;
  const auto by_number = tables_ ? tables_->hits() : std::vector<std::uint64_t>(CF_POLICY_HITS_MAX);
  for (const auto& [name, number] : numbers_.all()) hits[policy_of_rule(name)] += by_number.at(number);
  const auto add = [&](const auto& policy) {
    auto row = row_of(policy);
    row.hits = hits[compile::policy_name(policy)];
    for (const auto& [pod, number] : plan_.pods) {
      const auto identity = plan_.identities.find(number);
      row.workloads += identity != plan_.identities.end() && compile::selects(policy, identity->second) ? 1 : 0;
    }
    out.policies.push_back(std::move(row));
  };
  for (const auto& policy : input_.policies) add(*policy);
  for (const auto& policy : input_.network_policies) add(*policy);
  const auto status = function_status();
  out.hook = status.hook;
  out.problem = status.detail;
  return out;
}

tl::unexpected<control::Refused> Policies::refused_while_held() {
  return refused(409, {"what the agent before left is in force, and what that says is not known",
                       "cfcli status says which documents can't be read; mend them"});
}

control::Answer<control::PolicyCheck> Policies::check(const control::PolicyQuery& query) const {
  const std::lock_guard lock(mutex_);
  if (!tables_)
    return refused(404, {"there is no AuthorizationPolicy and no NetworkPolicy", "everybody may call everybody"});
  if (held()) return refused_while_held();
  std::array<std::optional<PolicyEnd>, 2> sides;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    const auto& text = i == 0 ? query.from : query.to;
    sides[i] = find_end(text, plan_, *snapshot_, options_.workload_ranges);
    if (!sides[i]) {
      return refused(404, {fmt::format("there is no pod {}", text), "give NAMESPACE/POD, or an address"});
    }
  }
  const auto &from = *sides[0], &to = *sides[1];
  if (to.address && to.address->is_loopback()) {
    return refused(400, {fmt::format("{} is an address of each workload and of the machine", query.to),
                         "give NAMESPACE/POD as the one who is called"});
  }
  control::PolicyCheck out;
  out.from = identity_name(from.identity, plan_);
  out.to = identity_name(to.identity, plan_);
  const auto unknown = static_cast<cf_policy_unknown>(settings_.unknown);
  out.sides = check_sides({plan_, numbers_, unknown}, from, to, {query.port, query.udp});
  return out;
}

std::string Policies::not_in_force() const {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return failure_;
  return held_words();
}

std::string Policies::held_words() const {
  if (!held()) return "";
  if (!closed_since_) return kHeld;
  return fmt::format(
      "closed since {} (cfagent --close): no workload is reached or reaches anybody until all of the policies and pods "
      "can be read",
      model::time_text(*closed_since_));
}

std::optional<Policies::Figures> Policies::figures() const {
  const std::lock_guard lock(mutex_);
  if (!tables_) return std::nullopt;
  Figures out;
  const auto counters = tables_->counters();
  for (std::size_t i = 0; i < CF_POLICY_V_MAX; ++i) {
    for (std::size_t direction = 0; direction < CF_POLICY_DIRECTIONS; ++direction) {
      out.verdicts.at(direction)[compile::verdict_name(static_cast<cf_policy_verdict>(i))] =
          counters.at(direction * CF_POLICY_V_MAX + i);
    }
  }
  out.boot_closed = closed_since_.has_value();
  out.events = {{"audited", counters[CF_POLICY_C_AUDITED]},
                {"packets_dropped", counters[CF_POLICY_C_DROPPED]},
                {"judged_again", counters[CF_POLICY_C_REJUDGED]},
                {"refusals_held_back", counters[CF_POLICY_C_HELD_BACK]},
                {"helper_failed", counters[CF_POLICY_C_HELPER_FAILED]}};
  out.records = tables_->event_counts();
  const auto ring = tables_->ring();
  std::vector<std::pair<std::uint64_t, std::string>> busiest;
  const auto hits = tables_->hits();
  for (const auto& [name, number] : numbers_.all()) {
    if (hits.at(number) != 0) busiest.emplace_back(hits.at(number), name);
  }
  std::sort(busiest.rbegin(), busiest.rend());
  for (std::size_t i = 0; i < std::min(kRulesShown, busiest.size()); ++i)
    out.hits[busiest[i].second] = busiest[i].first;
  std::size_t rules = 0, blocks = 0;
  for (const auto& [number, table] : written_) {
    rules += table.rules.size();
    blocks += table.blocks.size();
  }
  out.maps = {{"policy_rules", {rules, CF_POLICY_RULES_MAX / 2}},
              {"policy_blocks", {blocks, CF_POLICY_BLOCKS_MAX / 2}},
              {"policy_addresses", {addresses_.size(), CF_POLICY_ADDRESSES_MAX / 2}},
              {"policy_locals", {locals_.size(), CF_POLICY_LOCALS_MAX / 2}},
              {"policy_targets", {targets_.size(), CF_POLICY_TARGETS_MAX / 2}},
              {"policy_events", {ring.entries, ring.max_entries}}};
  return out;
}

std::vector<kernel::ProgramInfo> Policies::programs() const {
  const std::lock_guard lock(mutex_);
  return tables_ ? tables_->programs() : std::vector<kernel::ProgramInfo>{};
}

control::FunctionStatus Policies::function() const {
  const std::lock_guard lock(mutex_);
  return function_status();
}

control::FunctionStatus Policies::function_status() const {
  control::FunctionStatus out{"authorization", tables_ ? "cgroup_skb" : "", false, ""};
  if (!failure_.empty()) {
    out.detail = failure_;
  } else if (!pin_problem_.empty()) {
    out.detail = pin_problem_ + ": nothing is enforced when the agent has gone";
  } else if (held()) {
    out.detail = held_words();
  } else if (const auto& [in, outward] = input_.closed_namespaces; !in.empty()) {
    out.detail = fmt::format("nobody may reach the workloads of {}: a policy there can't be read", fmt::join(in, ", "));
    if (!outward.empty()) out.detail += fmt::format("; those of {} may reach nobody", fmt::join(outward, ", "));
  } else if (!input_.network_closed_namespaces.empty()) {
    out.detail = fmt::format(
        "nobody but this node may reach the workloads of {}, nor they anybody: a NetworkPolicy there can't be read",
        fmt::join(input_.network_closed_namespaces, ", "));
  } else if (!plan_.refusals.empty()) {
    out.detail = plan_.refusals.front();
  }
  out.degraded = !out.detail.empty();
  return out;
}

}  // namespace cortexflow
