// SPDX-License-Identifier: Apache-2.0
#include "cli/top_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cli/output.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

std::string latency(const ordered_json& row, const std::string& column) {
  const auto& value = row.at(column + "_latency_ns");
  return value.is_null() ? "-" : duration_text(value.get<std::int64_t>());
}

std::string counted_text(const ordered_json& top) {
  const auto& total = top.at("total");
  auto out = fmt::format("{}  {} lookups, {} failed, {} timeouts", clock_text(top.at("window").value("end", ""), 0),
                         cell(total, "/lookups"), cell(total, "/failed"), cell(total, "/timeouts"));
  if (top.at("uncounted") != 0) {
    out += fmt::format("; {} duplicate, late or unmatched answers not counted", cell(top, "/uncounted"));
  }
  return out + "\n";
}

std::string window_text(const ordered_json& window) {
  if (window.at("begin").is_null()) return "the agent has seen none yet\n";
  const auto begin = clock_text(window.value("begin", ""), 3);
  if (window.value("complete", false)) return fmt::format("all that ended since {}\n", begin);
  return fmt::format("only those that ended since {}: the agent keeps no more, {} before are overwritten\n", begin,
                     cell(window, "/overwritten"));
}

}  // namespace

std::string top_text(const ordered_json& top) {
  std::string key = cell(top, "/by");
  std::transform(key.begin(), key.end(), key.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  ordered_json rows = ordered_json::array();
  for (const auto& row : top.at("rows")) {
    rows.push_back({{"lookups", row.at("lookups")},
                    {"share", fmt::format("{:.1f}%", 100 * row.at("share").get<double>())},
                    {"failed", row.at("failed")},
                    {"timeouts", row.at("timeouts")},
                    {"mean", latency(row, "mean")},
                    {"p50", latency(row, "p50")},
                    {"p99", latency(row, "p99")},
                    {"max", latency(row, "max")},
                    {"key", row.at("key")}});
  }
  auto out = counted_text(top) + window_text(top.at("window")) + "\n" +
             table(rows, {{"LOOKUPS", "/lookups"},
                          {"SHARE", "/share"},
                          {"FAILED", "/failed"},
                          {"TIMEOUTS", "/timeouts"},
                          {"MEAN", "/mean"},
                          {"P50", "/p50"},
                          {"P99", "/p99"},
                          {"MAX", "/max"},
                          {key, "/key"}});
  const auto left_out = top.at("keys").get<std::uint64_t>() - std::min(top["keys"].get<std::uint64_t>(), rows.size());
  if (left_out != 0) out += fmt::format("and {} more (--limit)\n", left_out);
  return out;
}

}  // namespace cortexflow::cli
