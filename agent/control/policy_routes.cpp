// SPDX-License-Identifier: Apache-2.0
// The control API's part on authorization.
#include <httplib.h>

#include "agent/control/json.h"
#include "agent/control/record_window.h"
#include "agent/control/response.h"
#include "agent/control/server.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kPortMax = 65535;

ordered_json policy_json(const PolicyRow& row) {
  return {{"kind", row.kind},           {"name", row.name}, {"action", row.action},
          {"direction", row.direction}, {"mode", row.mode}, {"rules", row.rules},
          {"workloads", row.workloads}, {"hits", row.hits}, {"origin", row.origin}};
}

ordered_json side_json(const PolicySideCheck& side) {
  return {{"direction", side.direction}, {"verdict", side.verdict}, {"refused", side.refused},
          {"rules", side.rules},         {"audited", side.audited}, {"policies", side.policies}};
}

ordered_json changes_json(const PolicyChanges& made) {
  auto changes = ordered_json::array();
  for (const auto& one : made.changes) {
    changes.push_back({{"kind", one.kind}, {"name", one.name}, {"change", one.change}});
  }
  return {{"changes", std::move(changes)},
          {"dry_run", made.dry_run},
          {"in_force", !made.dry_run && made.problem.empty()},
          {"problem", made.problem},
          {"remarks", made.remarks}};
}

ordered_json simulation_json(const PolicySimulation& made) {
  ordered_json totals, pairs = ordered_json::array();
  for (const auto& [change, total] : made.totals) {
    totals[change] = {{"pairs", total.pairs}, {"connections", total.connections}};
  }
  for (const auto& pair : made.pairs) {
    pairs.push_back({{"change", pair.change},
                     {"connections", pair.connections},
                     {"from", pair.from},
                     {"to", pair.to},
                     {"port", pair.port},
                     {"before", side_json(pair.before)},
                     {"after", side_json(pair.after)}});
  }
  return {{"totals", std::move(totals)}, {"pairs", std::move(pairs)}, {"remarks", made.remarks}};
}

tl::unexpected<Refused> no_policies() {
  return tl::make_unexpected(Refused{404,
                                     {"this agent knows no workloads that a policy could be about",
                                      "start it with --manifests DIR or --kubeconfig FILE"}});
}

ordered_json identity_json(const IdentityRow& row) {
  return {{"number", std::to_string(row.number)},  // more than JSON's readers count to
          {"kind", row.kind},
          {"name", row.name},
          {"spiffe_id", row.spiffe},
          {"labels", row.labels},
          {"pods", row.pods},
          {"addresses", row.addresses},
          {"policies", row.policies}};
}

}  // namespace

void Server::serve_identities(const Parameters&, httplib::Response& response) {
  const auto list = policies_ ? policies_->identities() : IdentityList{};
  auto rows = ordered_json::array(), tables = ordered_json::array();
  for (const auto& row : list.identities) rows.push_back(identity_json(row));
  for (const auto& table : list.tables) {
    tables.push_back({{"name", table.name}, {"entries", table.entries}, {"max_entries", table.max_entries}});
  }
  answer(response, {{"identities", std::move(rows)}, {"tables", std::move(tables)}});
}

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
  const auto checked = policies_ ? policies_->check({*from, *to, static_cast<std::uint16_t>(*port), protocol == "udp"})
                                 : Answer<PolicyCheck>(no_policies());
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

Done Server::put_policies(const Parameters&, const ordered_json& body, ordered_json& now) {
  const auto is = [&](const char* key, bool (ordered_json::*type)() const noexcept) {
    return body.contains(key) && (body[key].*type)();
  };
  if (!body.is_object() || body.size() != 2 || !is("documents", &ordered_json::is_string) ||
      !is("dry_run", &ordered_json::is_boolean)) {
    return tl::make_unexpected(Refused{400, {"expected an object of documents, a text, and dry_run", ""}});
  }
  if (!policies_) return no_policies();
  const auto made = policies_->apply_policies(body["documents"].get<std::string>(), body["dry_run"].get<bool>());
  if (!made) return tl::make_unexpected(made.error());
  now = changes_json(*made);
  return {};
}

Done Server::post_policy_simulation(const Parameters&, const ordered_json& body, ordered_json& now) {
  if (!body.is_object() || body.size() != 2 || !body.value("documents", ordered_json()).is_string() ||
      !body.value("since", ordered_json()).is_string()) {
    return tl::make_unexpected(Refused{400, {"expected an object of documents and since, both texts", ""}});
  }
  const auto at = std::chrono::system_clock::now();
  const auto since = parse_since(body["since"].get<std::string>(), at);
  if (!since) return tl::make_unexpected(Refused{400, since.error()});
  if (!policies_) return no_policies();
  const std::lock_guard one_at_a_time(top_mutex_);  // bounds its memory and its share of the processors
  Flows flows;
  const auto window = each_kept(node_.flows(), *since, [&](const auto& flow) { flows.push_back(flow); });
  const auto kept = flows.size();
  auto open = node_.open_flows(kOpenFlowsMax);
  if (!open) return tl::make_unexpected(Refused{503, open.error()});
  for (auto& flow : *open) flows.push_back(std::make_shared<const model::Flow>(std::move(flow)));
  const auto made = policies_->simulate_policies(body["documents"].get<std::string>(), flows);
  if (!made) return tl::make_unexpected(made.error());
  now = {{"window", window.to_json(at)}, {"records", kept}, {"open", open->size()}};
  now.update(simulation_json(*made));
  return {};
}

Done Server::delete_policies(const Parameters& parameters, const ordered_json&, ordered_json& now) {
  const auto name = needed(parameters, "name");
  if (!name) return tl::make_unexpected(Refused{400, name.error()});
  if (!policies_) return no_policies();
  const auto made = policies_->delete_policy(value_of(parameters, "kind").value_or(""), *name);
  if (!made) return tl::make_unexpected(made.error());
  now = changes_json(*made);
  return {};
}

}  // namespace cortexflow::control
