// SPDX-License-Identifier: Apache-2.0
#include "agent/control/flow_top.h"

#include "agent/control/json.h"
#include "agent/model/address_port.h"

namespace cortexflow::control {
namespace {

using model::Flow;
using nlohmann::ordered_json;

std::string side(const model::Workload& workload, const model::IpAddress& address) {
  return workload.name.empty() ? address.to_string() : workload.name;
}

// What was asked for: the service's address, else the other side's.
std::string destination(const Flow& flow) {
  if (!flow.service.empty()) return model::address_port_text(flow.service, flow.service_port);
  if (flow.service_address) return model::address_port_text(flow.service_address->to_string(), flow.service_port);
  const bool out = flow.direction == model::FlowDirection::kOut;
  return model::address_port_text((out ? flow.remote : flow.local).to_string(),
                                  out ? flow.remote_port : flow.local_port);
}

}  // namespace

std::int64_t FlowFigures::rank(const std::string& column) const {
  const auto signed_of = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  if (column == "connections" || column == "share") return signed_of(connections);
  if (column == "denied") return signed_of(denied);
  if (column == "failed") return signed_of(failed);
  if (column == "sent") return signed_of(bytes_sent);
  if (column == "received") return signed_of(bytes_received);
  if (column == "retransmits") return signed_of(retransmits);
  return connect.rank(column).value_or(0);
}

ordered_json FlowFigures::to_json() const {
  ordered_json out{{"connections", connections}, {"share", share},           {"denied", denied},
                   {"failed", failed},           {"bytes_sent", bytes_sent}, {"bytes_received", bytes_received},
                   {"retransmits", retransmits}};
  out.update(connect.to_json("connect"));
  return out;
}

const std::vector<std::string>& FlowRow::keys() {
  static const std::vector<std::string> kKeys{"workload", "peer",    "pair",    "destination",
                                              "process",  "outcome", "verdict", "rule"};
  return kKeys;
}

const std::vector<std::string>& FlowRow::columns() {
  static const std::vector<std::string> kColumns{"connections", "share", "failed", "denied", "sent", "received",
                                                 "retransmits", "mean",  "p50",    "p99",    "max",  "key"};
  return kColumns;
}

std::string FlowRow::key(const Flow& flow, const std::string& by) {
  auto own = side(flow.workload, flow.local), peer = side(flow.peer, flow.remote);
  if (by == "peer") return peer;
  if (by == "pair") return flow.direction == model::FlowDirection::kOut ? own + " -> " + peer : peer + " -> " + own;
  if (by == "destination") return destination(flow);
  if (by == "process") return flow.comm.empty() ? "(accepted)" : flow.comm;
  if (by == "outcome") return std::string(outcome_name(flow.outcome));
  if (by == "verdict") return flow.policy ? flow.policy->verdict : "(not judged)";
  if (by == "rule") {
    return !flow.policy || flow.policy->rules.empty() ? "(none)"
                                                      : fmt::format("{}", fmt::join(flow.policy->rules, ", "));
  }
  return own;
}

Result<void> FlowRow::check(const Parameters& parameters) {
  const auto [begin, end] = parameters.equal_range("outcome");
  for (auto it = begin; it != end; ++it) {
    const auto outcome = parse_flow_outcome(it->second);
    if (outcome != model::FlowOutcome::kOpen && outcome != model::FlowOutcome::kConnecting) continue;
    return tl::make_unexpected(Error{fmt::format("outcome={}: connections count when they have ended", it->second),
                                     "GET /v1/flows/open (cfcli flow list) shows them"});
  }
  return {};
}

void FlowRow::add(const Flow& flow) {
  if (model::is_refusal(flow)) {
    sums_.denied += flow.attempts;
    return;
  }
  ++sums_.connections;
  if (model::failed(flow)) ++sums_.failed;
  sums_.bytes_sent += flow.bytes_sent;
  sums_.bytes_received += flow.bytes_received;
  sums_.retransmits += flow.retransmits;
  if (flow.connect_latency) connects_.add(flow.connect_latency->count());
}

FlowFigures FlowRow::figures(std::uint64_t of_all) {
  auto out = sums_;
  out.share = of_all == 0 ? 0 : static_cast<double>(out.connections) / static_cast<double>(of_all);
  out.connect = connects_.figures();
  return out;
}

}  // namespace cortexflow::control
