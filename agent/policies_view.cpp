// SPDX-License-Identifier: Apache-2.0
// Policies: what is shown of them.
#include <algorithm>
#include <array>

#include "agent/compile/policy_table.h"
#include "agent/operator_request.h"
#include "agent/policies.h"

namespace cortexflow {
namespace {

constexpr std::size_t kRulesShown = 100;  // in the metrics

struct Side {
  std::uint64_t identity = 0;
  std::optional<model::IpAddress> address;
};

const char* action_name(model::PolicyAction action) {
  static constexpr std::array<const char*, 3> kNames{"ALLOW", "DENY", "AUDIT"};
  return kNames.at(static_cast<std::size_t>(action));
}

std::string identity_name(std::uint64_t identity, const compile::PolicyPlan& plan) {
  switch (identity) {
    case CF_POLICY_ID_WORLD:
      return "world";
    case CF_POLICY_ID_UNKNOWN:
      return "unknown";
    case CF_POLICY_ID_AMBIGUOUS:
      return "ambiguous";
    default:
      break;
  }
  const auto found = plan.identities.find(identity);
  return found == plan.identities.end() ? std::to_string(identity) : found->second.to_string();
}

std::optional<Side> find_side(const std::string& text, const compile::PolicyPlan& plan, const state::Snapshot& snapshot,
                              const std::vector<std::string>& ranges) {
  if (const auto address = model::IpAddress::parse(text)) {
    const auto known = plan.addresses.find(*address);
    if (known != plan.addresses.end()) return Side{known->second, address};
    const bool workload = std::any_of(ranges.begin(), ranges.end(), [&](const std::string& range) {
      const auto slash = range.find('/');
      return model::Cidr{*model::IpAddress::parse(range.substr(0, slash)),
                         static_cast<std::uint8_t>(std::stoi(range.substr(slash + 1)))}
          .covers(*address);
    });
    return Side{static_cast<std::uint64_t>(workload ? CF_POLICY_ID_UNKNOWN : CF_POLICY_ID_WORLD), address};
  }
  const auto name = object_name(text);
  const auto pod = name ? snapshot.pods.find(*name) : nullptr;
  const auto planned = name ? plan.pods.find(*name) : plan.pods.end();
  if (!pod || planned == plan.pods.end()) return std::nullopt;
  return Side{planned->second, pod->addresses.empty() ? std::nullopt : std::optional(pod->addresses.front())};
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
  for (const auto& [name, number] : numbers_.all()) hits[name.substr(0, name.find('['))] += by_number.at(number);
  for (const auto& policy : input_.policies) {
    control::PolicyRow row{policy->name.ns + "/" + policy->name.name,
                           action_name(policy->action),
                           policy->audit ? "audit" : "enforce",
                           policy->rules.size(),
                           0,
                           0};
    row.hits = hits[row.name];
    for (const auto& [pod, number] : plan_.pods) {
      const auto identity = plan_.identities.find(number);
      row.workloads += identity != plan_.identities.end() && compile::selects(*policy, identity->second) ? 1 : 0;
    }
    out.policies.push_back(std::move(row));
  }
  const auto status = function_status();
  out.hook = status.hook;
  out.problem = status.detail;
  return out;
}

control::Answer<control::PolicyCheck> Policies::check(const control::PolicyQuery& query) const {
  const std::lock_guard lock(mutex_);
  if (!tables_) return refused(404, {"there is no AuthorizationPolicy", "everybody may call everybody"});
  std::array<std::optional<Side>, 2> sides;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    const auto& text = i == 0 ? query.from : query.to;
    sides[i] = find_side(text, plan_, *snapshot_, options_.workload_ranges);
    if (!sides[i]) {
      return refused(404, {fmt::format("there is no pod {}", text), "give NAMESPACE/POD, or an address"});
    }
  }
  const auto &from = *sides[0], &to = *sides[1];
  const auto verdict = compile::decide(plan_, to.identity, from.identity, from.address.value_or(model::IpAddress{}),
                                       query.port, query.udp ? model::Protocol::kUdp : model::Protocol::kTcp,
                                       static_cast<cf_policy_unknown>(settings_.unknown));
  control::PolicyCheck out;
  out.verdict = compile::verdict_name(verdict.verdict);
  out.refused = compile::is_refusal(verdict.verdict);
  out.rule = numbers_.name(verdict.rule);
  out.audited = numbers_.name(verdict.audited);
  out.from = identity_name(from.identity, plan_);
  out.to = identity_name(to.identity, plan_);
  if (const auto target = plan_.targets.find(to.identity); target != plan_.targets.end()) {
    for (const auto& policy : plan_.tables[target->second.table].policies) {
      out.policies.push_back(policy.ns + "/" + policy.name);
    }
  }
  return out;
}

std::optional<Policies::Figures> Policies::figures() const {
  const std::lock_guard lock(mutex_);
  if (!tables_) return std::nullopt;
  Figures out;
  const auto counters = tables_->counters();
  for (std::size_t i = 0; i < CF_POLICY_V_MAX; ++i) {
    out.verdicts[compile::verdict_name(static_cast<cf_policy_verdict>(i))] = counters.at(i);
  }
  out.events = {{"audited", counters[CF_POLICY_C_AUDITED]},
                {"packets_dropped", counters[CF_POLICY_C_DROPPED]},
                {"judged_again", counters[CF_POLICY_C_REJUDGED]},
                {"helper_failed", counters[CF_POLICY_C_HELPER_FAILED]}};
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
              {"policy_addresses", {addresses_.size(), CF_POLICY_ADDRESSES_MAX}},
              {"policy_locals", {locals_.size(), CF_POLICY_LOCALS_MAX}},
              {"policy_targets", {targets_.size(), CF_POLICY_TARGETS_MAX}}};
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
  } else if (tables_ && tables_->adopted() && !complete_) {
    out.detail = "what the agent before left is in force, as not all of the manifests can be read";
  } else if (!input_.closed_namespaces.empty()) {
    out.detail = fmt::format("nobody may reach the workloads of {}: a policy there can't be read",
                             fmt::join(input_.closed_namespaces, ", "));
  } else if (!plan_.refusals.empty()) {
    out.detail = plan_.refusals.front();
  }
  out.degraded = !out.detail.empty();
  return out;
}

}  // namespace cortexflow
