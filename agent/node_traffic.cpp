// SPDX-License-Identifier: Apache-2.0
// The node: what the mesh lets nobody have, and the veths that traffic goes over.
#include <algorithm>
#include <array>
#include <string_view>

#include "agent/edge_figures.h"
#include "agent/kernel/veth_links.h"
#include "agent/node.h"

namespace cortexflow {
namespace {

// "vethA" of "vethA,vethB"
bool is_attached(const kernel::ProgramInfo& program, const std::string& interface) {
  std::string_view left = program.attached_to;
  while (!left.empty()) {
    const auto end = std::min(left.find(','), left.size());
    if (left.substr(0, end) == interface) return true;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return false;
}

}  // namespace

std::vector<control::DropRow> Node::drops() const {
  std::vector<control::DropRow> out;
  if (!services_) return out;
  const auto figures = this->figures();
  const auto add = [&](const std::string& where, const auto& counts, const auto& is_drop) {
    for (const auto& [reason, count] : counts) {
      if (is_drop(reason)) out.push_back({where, reason, count});
    }
  };
  const auto refused = [](const std::string& reason) { return reason.starts_with("refused_"); };
  const auto by_policy = [](const std::string& reason) { return compile::is_refusal_name(reason); };
  add("policy in", figures.policy_verdicts_in, by_policy);
  add("policy out", figures.policy_verdicts_out, by_policy);
  add("services", figures.services, refused);
  add("redirect", figures.redirect, [&](const std::string& reason) { return refused(reason) || reason == "dropped"; });
  add("edge", figures.edge_verdicts, is_edge_drop);
  return out;
}

Result<std::vector<control::VethRow>> Node::veths() const {
  auto links = kernel::list_veths();
  if (!links) return tl::make_unexpected(std::move(links.error()));
  const auto pods = services_ ? services_->pods_by_interface() : std::map<std::string, std::vector<std::string>>{};
  const auto programs = kernel_programs();
  std::vector<control::VethRow> out;
  for (auto& link : *links) {
    control::VethRow row;
    row.index = link.index;
    row.up = link.up;
    row.peer = link.peer_is_here ? fmt::format("{} here", link.peer_index) : std::move(link.peer_netns);
    row.master = std::move(link.master);
    if (const auto found = pods.find(link.name); found != pods.end()) row.pods = found->second;
    for (const auto& program : programs) {
      if (is_attached(program, link.name)) row.programs.push_back(program.name);
    }
    row.name = std::move(link.name);
    row.received_packets = link.received_packets;
    row.sent_packets = link.sent_packets;
    row.received_bytes = link.received_bytes;
    row.sent_bytes = link.sent_bytes;
    row.received_dropped = link.received_dropped;
    row.sent_dropped = link.sent_dropped;
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace cortexflow
