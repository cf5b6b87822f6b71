// SPDX-License-Identifier: Apache-2.0
// The control API's part on authorization.
#include <httplib.h>

#include "agent/control/json.h"
#include "agent/control/response.h"
#include "agent/control/server.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kPortMax = 65535;

ordered_json policy_json(const PolicyRow& row) {
  return {{"kind", row.kind}, {"name", row.name},   {"action", row.action},       {"direction", row.direction},
          {"mode", row.mode}, {"rules", row.rules}, {"workloads", row.workloads}, {"hits", row.hits}};
}

ordered_json side_json(const PolicySideCheck& side) {
  return {{"direction", side.direction}, {"verdict", side.verdict}, {"refused", side.refused},
          {"rules", side.rules},         {"audited", side.audited}, {"policies", side.policies}};
}

}  // namespace

void Server::serve_policies(const Parameters&, httplib::Response& response) {
  const auto list = policies_ ? policies_->policies() : PolicyList{};
  auto rows = ordered_json::array();
  for (const auto& row : list.policies) rows.push_back(policy_json(row));
  answer(response, {{"policies", std::move(rows)}, {"hook", list.hook}, {"problem", list.problem}});
}

void Server::serve_policy_check(const Parameters& parameters, httplib::Response& response) {
  const auto from = needed(parameters, "from");
  const auto to = needed(parameters, "to");
  if (!from || !to) return refuse(response, 400, (from ? to : from).error());
  if (const auto port = needed(parameters, "port"); !port) return refuse(response, 400, port.error());
  const auto port = count_of(parameters, "port", kPortMax, 0);
  if (!port) return refuse(response, 400, port.error());
  const auto protocol = value_of(parameters, "protocol").value_or("tcp");
  if (protocol != "tcp" && protocol != "udp") {
    return refuse(response, 400, {fmt::format("protocol={}: expected tcp or udp", protocol), ""});
  }
  const auto checked =
      policies_ ? policies_->check({*from, *to, static_cast<std::uint16_t>(*port), protocol == "udp"})
                : Answer<PolicyCheck>(tl::make_unexpected(Refused{
                      404, {"this agent follows no policies", "start it with --manifests DIR or --kubeconfig FILE"}}));
  if (!checked) return refuse(response, checked.error().status, checked.error().error);
  auto sides = ordered_json::array();
  for (const auto& side : checked->sides) sides.push_back(side_json(side));
  const auto& decisive = checked->decisive();
  answer(response, {{"verdict", decisive.verdict},
                    {"refused", decisive.refused},
                    {"direction", decisive.direction},
                    {"from", checked->from},
                    {"to", checked->to},
                    {"sides", std::move(sides)}});
}

}  // namespace cortexflow::control
