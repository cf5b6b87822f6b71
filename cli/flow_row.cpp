// SPDX-License-Identifier: Apache-2.0
#include "cli/flow_row.h"

#include <fmt/format.h>

#include "agent/model/address_port.h"
#include "cli/output.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

// One place for the widths of header and rows.
template <typename... Cells>
std::string line(const Cells&... cells) {
  return fmt::format("{:<12}  {:<22}  {:<20}  {:<2}  {:<24}  {:<11}  {:>9}  {:>9}  {:>8}  {:>8}  {:>4}  {:>5}  {}",
                     cells...);
}

std::string endpoint_of(const ordered_json& flow, const std::string& address, const std::string& port) {
  return model::address_port_text(cell(flow, address), flow.at(port).get<std::uint16_t>());
}

std::string named(const std::string& name, const std::string& otherwise) {
  return name.empty() || name == "-" ? otherwise : name;
}

// The pod or service on the other side, else its address.
std::string peer_of(const ordered_json& flow) {
  const auto service = cell(flow, "/service");
  if (service != "-" && !service.empty()) return fmt::format("{}:{}", service, cell(flow, "/service_port"));
  const auto remote = endpoint_of(flow, "/remote", "remote_port");
  const auto peer = cell(flow, "/peer/name");
  const bool out = flow.value("direction", "") == "out";
  return named(peer, "").empty() ? remote : peer + (out ? ":" + cell(flow, "/remote_port") : "");
}

std::string latency_of(const ordered_json& flow) {
  const auto& latency = flow.at("connect_latency_ns");
  return latency.is_number() ? duration_text(latency.get<std::int64_t>()) : "-";
}

// "allowed shop/allow-web[0]"; how many packets it stands for, if several.
std::string policy_of(const ordered_json& flow) {
  const auto& policy = flow.at("policy");
  if (!policy.is_object()) return "-";
  auto text = policy.value("verdict", "");
  for (const auto& rule : policy.at("rules")) text += " " + printable(rule.get<std::string>());
  if (const auto attempts = flow.value("attempts", std::uint64_t{0}); attempts > 1)
    text += fmt::format(" (x{})", attempts);
  return text;
}

}  // namespace

bool flow_is_bad(const ordered_json& flow) { return flow.value("outcome", "") != "closed"; }

std::string flow_header(bool wide) {
  return line("TIME", "PROCESS", "WORKLOAD", "", "PEER", "OUTCOME", "CONNECT", "DURATION", "SENT", "RECEIVED", "RETR",
              "PORT", "POLICY") +
         (wide ? "  MORE" : "");
}

std::string flow_row(const ordered_json& flow, bool wide) {
  const bool out = flow.value("direction", "") == "out";
  const auto process =
      flow.value("pid", 0U) == 0 ? "-" : fmt::format("{}({})", cell(flow, "/comm"), cell(flow, "/pid"));
  auto text = line(clock_text(flow.value("start", ""), 3), process, cell(flow, "/workload/name").substr(0, 20),
                   out ? "->" : "<-", peer_of(flow), cell(flow, "/outcome"), latency_of(flow),
                   duration_text(flow.value("duration_ns", std::int64_t{0})),
                   size_text(flow.value("bytes_sent", std::uint64_t{0})),
                   size_text(flow.value("bytes_received", std::uint64_t{0})), cell(flow, "/retransmits"),
                   cell(flow, out ? "/remote_port" : "/local_port"), policy_of(flow));
  if (wide) {
    text += fmt::format("  local={} remote={} rtt={} netns={} errno={} cgroup={}",
                        endpoint_of(flow, "/local", "local_port"), endpoint_of(flow, "/remote", "remote_port"),
                        duration_text(flow.value("round_trip_us", std::int64_t{0}) * 1000), cell(flow, "/netns"),
                        cell(flow, "/error"), cell(flow, "/workload/cgroup_path"));
  }
  return text;
}

}  // namespace cortexflow::cli
