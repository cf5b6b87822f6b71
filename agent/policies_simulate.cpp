// SPDX-License-Identifier: Apache-2.0
// Policies: what others would have said to connections that there were.
#include <algorithm>
#include <tuple>

#include "agent/policies.h"
#include "agent/policy_ends.h"

namespace cortexflow {
namespace {

constexpr std::size_t kPairsShown = 1000;

template <typename T>
void put_policy(std::vector<std::shared_ptr<const T>>& into, const model::Object& object) {
  const auto& policy = std::get<std::shared_ptr<const T>>(object);
  std::erase_if(into, [&](const auto& one) { return one->name == policy->name; });
  into.insert(std::upper_bound(into.begin(), into.end(), policy,
                               [](const auto& one, const auto& other) { return one->name < other->name; }),
              policy);
}

using Tuple = std::tuple<model::IpAddress, std::uint16_t, model::IpAddress, std::uint16_t>;

// What policy said of a TCP connection that got as far as its SYN is in that one's record too, when it has ended.  Of
// datagrams there are the refused ones alone.
bool is_left_out(const model::Flow& flow) {
  if (!model::is_refusal(flow)) return false;
  const bool connects = flow.direction == model::FlowDirection::kOut && flow.local_port == 0;
  const bool called = flow.direction == model::FlowDirection::kIn && flow.outcome == model::FlowOutcome::kDenied;
  return flow.protocol != model::FlowProtocol::kTcp || !(connects || called);
}

// Each connection once: between two sockets of this node it is in two records.
std::vector<const model::Flow*> distinct(const control::Flows& flows) {
  std::vector<const model::Flow*> out;
  std::map<Tuple, std::size_t> opened;
  for (const auto& flow : flows) {
    if (flow->direction != model::FlowDirection::kOut || is_left_out(*flow)) continue;
    ++opened[{flow->local, flow->local_port, flow->remote, flow->remote_port}];
    out.push_back(flow.get());
  }
  for (const auto& flow : flows) {
    if (flow->direction != model::FlowDirection::kIn || is_left_out(*flow)) continue;
    const auto other = opened.find({flow->remote, flow->remote_port, flow->local, flow->local_port});
    if (other == opened.end() || other->second == 0) {
      out.push_back(flow.get());
    } else {
      --other->second;
    }
  }
  return out;
}

// By its address, or as the pod that its cgroup is of.
PolicyEnd end_of_flow(const model::IpAddress& address, const model::Workload& workload, const compile::PolicyPlan& plan,
                      const std::vector<std::string>& ranges) {
  const auto pod = workload.pod.empty() ? plan.pods.end() : plan.pods.find({workload.ns, workload.pod});
  if (pod != plan.pods.end() && !plan.addresses.contains(address)) return {pod->second, address};
  return end_at(address, plan, ranges);
}

struct Judged {
  PolicyEnd from, to;
  control::PolicySideCheck decisive;
};

Judged judge(const PlannedPolicy& by, const model::Flow& flow, const std::vector<std::string>& ranges) {
  const bool opened = flow.direction == model::FlowDirection::kOut;
  const auto own = end_of_flow(flow.local, flow.workload, by.plan, ranges);
  const auto peer = end_of_flow(flow.remote, flow.peer, by.plan, ranges);
  Judged out{opened ? own : peer, opened ? peer : own, {}};
  if (flow.remote.is_loopback() || flow.local == flow.remote) {
    out.decisive.direction = "in";
    out.decisive.verdict = compile::verdict_name(CF_POLICY_V_OWN);
    return out;
  }
  control::PolicyCheck check;
  check.sides = check_sides(by, out.from, out.to, {opened ? flow.remote_port : flow.local_port, false});
  out.decisive = check.decisive();
  return out;
}

bool is_known(const PolicyEnd& end) {
  return end.identity != CF_POLICY_ID_UNKNOWN && end.identity != CF_POLICY_ID_AMBIGUOUS;
}

const char* change_of(const Judged& before, const Judged& after) {
  if (!is_known(after.from) || !is_known(after.to)) return "unknown";
  if (before.decisive.refused == after.decisive.refused) return "unchanged";
  return after.decisive.refused ? "newly_refused" : "newly_allowed";
}

}  // namespace

control::Answer<control::PolicySimulation> Policies::simulate(
    const std::map<model::ObjectKey, source::PolicyDocument>& tried, const control::Flows& flows) const {
  compile::PolicyInput input;
  std::vector<std::string> ranges;
  cf_policy_unknown unknown = CF_POLICY_UNKNOWN_DENY;
  {
    const std::lock_guard lock(mutex_);
    if (tables_ && held()) return refused_while_held();
    input = input_;
    gather_into(input);
    ranges = options_.workload_ranges;
    unknown = unknown_peers();
  }
  compile::RuleNumbers present_numbers, tried_numbers;
  const auto present = compile::plan_policies(input, present_numbers);
  for (const auto& [key, document] : tried) {
    if (key.kind == model::Kind::kAuthorizationPolicy) put_policy(input.policies, document.object);
    if (key.kind == model::Kind::kNetworkPolicy) put_policy(input.network_policies, document.object);
  }
  const auto plan = compile::plan_policies(input, tried_numbers);

  control::PolicySimulation out;
  for (const char* change : {"newly_refused", "newly_allowed", "unchanged", "unknown"}) out.totals[change];
  for (const auto& words : plan.refusals) {
    const auto& had = present.refusals;
    if (std::find(had.begin(), had.end(), words) == had.end()) out.remarks.push_back(words);
  }
  using Key = std::tuple<std::string, std::string, std::string, std::uint16_t, std::string, std::string>;
  std::map<Key, control::SimulatedPair> pairs;
  for (const auto* flow : distinct(flows)) {
    const auto before = judge({present, present_numbers, unknown}, *flow, ranges);
    const auto after = judge({plan, tried_numbers, unknown}, *flow, ranges);
    control::SimulatedPair pair;
    pair.from = identity_name(after.from.identity, plan);
    pair.to = identity_name(after.to.identity, plan);
    pair.port = flow->direction == model::FlowDirection::kOut ? flow->remote_port : flow->local_port;
    pair.change = change_of(before, after);
    pair.before = before.decisive;
    pair.after = after.decisive;
    const auto words = fmt::format("{} {}", pair.after.verdict, fmt::join(pair.after.rules, " "));
    Key key{pair.change, pair.from, pair.to, pair.port, pair.before.verdict, words};
    ++pairs.try_emplace(std::move(key), std::move(pair)).first->second.connections;
  }
  for (auto& [key, pair] : pairs) {
    auto& total = out.totals[pair.change];
    ++total.pairs;
    total.connections += pair.connections;
    if (pair.change != "unchanged") out.pairs.push_back(std::move(pair));
  }
  std::sort(out.pairs.begin(), out.pairs.end(), [](const auto& one, const auto& other) {
    return std::tie(other.connections, one.from, one.to, one.port) <
           std::tie(one.connections, other.from, other.to, other.port);
  });
  if (out.pairs.size() > kPairsShown) out.pairs.resize(kPairsShown);
  return out;
}

}  // namespace cortexflow
