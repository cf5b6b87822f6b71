// SPDX-License-Identifier: Apache-2.0
#include "cli/lookup_row.h"

#include <fmt/format.h>

#include "agent/model/address_port.h"
#include "cli/output.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

// One place for the widths of header and rows.
template <typename... Cells>
std::string line(const Cells&... cells) {
  return fmt::format("{:<12}  {:<22}  {:<20}  {:<6}  {:<18}  {:>9}  {:<24}  {}", cells...);
}

std::string rcode_of(const ordered_json& lookup) {
  return lookup.at("rcode").is_string() ? lookup["rcode"].get<std::string>() : "";
}

std::string result_of(const ordered_json& lookup) {
  const auto outcome = lookup.value("outcome", "");
  std::string result = rcode_of(lookup);
  if (outcome != "answered") result += (result.empty() ? "" : " ") + outcome;
  const auto transmissions = lookup.value("transmissions", 0);
  if (transmissions > 1) result += fmt::format(" x{}", transmissions);
  return printable(result);
}

std::string endpoint_of(const ordered_json& lookup, const std::string& address, const std::string& port) {
  return model::address_port_text(cell(lookup, address), lookup.at(port).get<std::uint16_t>());
}

std::string flags_of(const ordered_json& lookup) {
  std::string flags;
  for (const auto& [flag, key] : {std::pair("aa", "authoritative"), {"tc", "truncated"}, {"ad", "authenticated"}}) {
    if (lookup.value(key, false)) flags += (flags.empty() ? "" : ",") + std::string(flag);
  }
  return flags.empty() ? "-" : flags;
}

}  // namespace

std::string lookup_header(bool wide) {
  return line("TIME", "PROCESS", "WORKLOAD", "TYPE", "RESULT", "LATENCY", "SERVER", "NAME") + (wide ? "  MORE" : "");
}

std::string lookup_row(const ordered_json& lookup, bool wide) {
  auto out =
      line(clock_text(lookup.value("start", ""), 3), fmt::format("{}({})", cell(lookup, "/comm"), cell(lookup, "/pid")),
           cell(lookup, "/workload/name").substr(0, 20), cell(lookup, "/qtype"), result_of(lookup),
           duration_text(lookup.value("latency_ns", std::int64_t{0})), endpoint_of(lookup, "/server", "server_port"),
           cell(lookup, "/name"));
  if (wide) {
    out += fmt::format("  {} client={} netns={} answers={} edns={} flags={} cgroup={}", cell(lookup, "/transport"),
                       endpoint_of(lookup, "/client", "client_port"), cell(lookup, "/netns"), cell(lookup, "/answers"),
                       cell(lookup, "/edns_size"), flags_of(lookup), cell(lookup, "/workload/cgroup_path"));
  }
  return out;
}

bool is_bad(const ordered_json& lookup) {
  const auto rcode = rcode_of(lookup);
  return lookup.value("outcome", "") != "answered" || (rcode != "NOERROR" && rcode != "NXDOMAIN");
}

}  // namespace cortexflow::cli
