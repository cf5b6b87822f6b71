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
  const auto& value = row.at(column);
  return value.is_null() ? "-" : duration_text(value.get<std::int64_t>());
}

std::string window_text(const ordered_json& window) {
  if (window.at("begin").is_null()) return "the agent has seen none yet\n";
  const auto begin = clock_text(window.value("begin", ""), 3);
  if (window.value("complete", false)) return fmt::format("all that ended since {}\n", begin);
  return fmt::format("only those that ended since {}: the agent keeps no more, {} before are overwritten\n", begin,
                     cell(window, "/overwritten"));
}

std::string end_text(const ordered_json& top) { return clock_text(top.at("window").value("end", ""), 0); }

std::string share_text(const ordered_json& row) { return fmt::format("{:.1f}%", 100 * row.at("share").get<double>()); }

// What was counted, from when on, a blank line, the table, how many rows are left out.
std::string top_text(const ordered_json& top, const std::string& counted, const ordered_json& rows, Columns columns) {
  std::string key = cell(top, "/by");
  std::transform(key.begin(), key.end(), key.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  columns.emplace_back(key, "/key");
  auto out = end_text(top) + "  " + counted + "\n" + window_text(top.at("window")) + "\n" + table(rows, columns);
  const auto left_out = top.at("keys").get<std::uint64_t>() - std::min(top["keys"].get<std::uint64_t>(), rows.size());
  if (left_out != 0) out += fmt::format("and {} more (--limit)\n", left_out);
  return out;
}

}  // namespace

std::string lookup_top_text(const ordered_json& top) {
  const auto& total = top.at("total");
  auto counted = fmt::format("{} lookups, {} failed, {} timeouts", cell(total, "/lookups"), cell(total, "/failed"),
                             cell(total, "/timeouts"));
  if (top.at("uncounted") != 0) {
    counted += fmt::format("; {} duplicate, late or unmatched answers not counted", cell(top, "/uncounted"));
  }
  ordered_json rows = ordered_json::array();
  for (const auto& row : top.at("rows")) {
    rows.push_back({{"lookups", row.at("lookups")},
                    {"share", share_text(row)},
                    {"failed", row.at("failed")},
                    {"timeouts", row.at("timeouts")},
                    {"mean", latency(row, "mean_latency_ns")},
                    {"p50", latency(row, "p50_latency_ns")},
                    {"p99", latency(row, "p99_latency_ns")},
                    {"max", latency(row, "max_latency_ns")},
                    {"key", row.at("key")}});
  }
  return top_text(top, counted, rows,
                  {{"LOOKUPS", "/lookups"},
                   {"SHARE", "/share"},
                   {"FAILED", "/failed"},
                   {"TIMEOUTS", "/timeouts"},
                   {"MEAN", "/mean"},
                   {"P50", "/p50"},
                   {"P99", "/p99"},
                   {"MAX", "/max"}});
}

std::string flow_top_text(const ordered_json& top) {
  const auto& total = top.at("total");
  const auto counted = fmt::format("{} connections, {} failed, {} denied, {} sent, {} received",
                                   cell(total, "/connections"), cell(total, "/failed"), cell(total, "/denied"),
                                   size_text(total.value("bytes_sent", std::uint64_t{0})),
                                   size_text(total.value("bytes_received", std::uint64_t{0})));
  ordered_json rows = ordered_json::array();
  for (const auto& row : top.at("rows")) {
    rows.push_back({{"connections", row.at("connections")},
                    {"share", share_text(row)},
                    {"failed", row.at("failed")},
                    {"denied", row.at("denied")},
                    {"sent", size_text(row.value("bytes_sent", std::uint64_t{0}))},
                    {"received", size_text(row.value("bytes_received", std::uint64_t{0}))},
                    {"retransmits", row.at("retransmits")},
                    {"p50", latency(row, "p50_connect_ns")},
                    {"p99", latency(row, "p99_connect_ns")},
                    {"max", latency(row, "max_connect_ns")},
                    {"key", row.at("key")}});
  }
  return top_text(top, counted, rows,
                  {{"CONNECTIONS", "/connections"},
                   {"SHARE", "/share"},
                   {"FAILED", "/failed"},
                   {"DENIED", "/denied"},
                   {"SENT", "/sent"},
                   {"RECEIVED", "/received"},
                   {"RETRANSMITS", "/retransmits"},
                   {"P50", "/p50"},
                   {"P99", "/p99"},
                   {"MAX", "/max"}});
}

}  // namespace cortexflow::cli
