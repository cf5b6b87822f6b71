// SPDX-License-Identifier: Apache-2.0
// The edge on its way into the kernel: plans and deny entries -> map writes, and the program on its interfaces.  Its
// times are the monotonic clock's.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/compile/deny_plan.h"
#include "agent/compile/edge_book.h"
#include "agent/control/node_view.h"
#include "agent/edge_interfaces.h"
#include "agent/edge_neighbours.h"
#include "agent/kernel/edge_tables.h"
#include "agent/kernel/kept_writes.h"
#include "agent/node_addresses.h"
#include "agent/source/settings.h"

namespace cortexflow {

class Edge {
 public:
  using Clock = std::chrono::steady_clock;
  using Plans = std::map<model::ObjectName, std::vector<compile::EdgePlan>>;

  // Loads the program over what an agent before left.  start() attaches, when update() and deny() have had all of the
  // configuration.
  [[nodiscard]] static Result<std::unique_ptr<Edge>> open(const source::EdgeSettings& settings,
                                                          const std::vector<InterfaceAddress>& addresses,
                                                          const std::string& pin_path);
  void start();
  // Until then what was found is left where it is, should the agent's start fail.
  void end_as_configured() { tables_->set_keep_on_exit(settings_.keep_on_exit); }

  [[nodiscard]] compile::EdgePlanOptions plan_options() const;
  // Each service's new plans; an empty list takes it out.
  void update(const Plans& changed);
  // This node's, as they are now.  What it sends from stays the same as long as it is there.
  void set_addresses(const std::vector<InterfaceAddress>& all);
  // As EdgeBook's, for what an agent before left of services that can't be read.
  void hold(compile::ServiceBook::Incomplete incomplete);
  [[nodiscard]] std::set<model::ObjectName> held() const;
  [[nodiscard]] std::size_t unclaimed() const;
  void drop_unclaimed(const std::set<std::uint16_t>& stay);
  // All that stand; those that expire go by themselves.
  void deny(std::vector<model::DenyEntry> entries);
  // What falls due: expiry, the end of moves, interfaces that have come back.
  void tick();
  // Those of the kernel, said once each.
  [[nodiscard]] std::vector<Error> take_errors();

  [[nodiscard]] bool attached() const;  // to one of its interfaces at least
  [[nodiscard]] control::FunctionStatus function() const;
  [[nodiscard]] std::vector<std::string> problems(const model::ObjectName& service) const;
  [[nodiscard]] std::vector<std::string> refusals() const;   // of deny entries
  [[nodiscard]] std::vector<std::string> unguarded() const;  // interfaces that it is not on, and why
  [[nodiscard]] std::vector<kernel::MapInfo> maps() const;   // those that can be full
  [[nodiscard]] const kernel::EdgeTables& tables() const { return *tables_; }

 private:
  Edge(source::EdgeSettings settings, std::unique_ptr<kernel::EdgeTables> tables);

  void take_over();
  void check_interfaces();
  [[nodiscard]] std::pair<bool, bool> families() const;  // IPv4, IPv6
  void note_move(const model::ObjectName& service);
  void finish_moves();
  void poll_neighbours(Clock::time_point now);
  void write(const std::vector<compile::EdgeOperation>& operations);
  bool write_entry(const char* map, const std::string& key, std::optional<std::string> value);  // none: erases
  void write_deny();
  void write_settings();
  void choose_addresses();

  source::EdgeSettings settings_;
  std::unique_ptr<kernel::EdgeTables> tables_;
  kernel::KeptWrites writes_;
  mutable std::mutex mutex_;  // all below
  std::vector<Error> errors_;
  compile::EdgeBook book_;
  std::vector<InterfaceAddress> addresses_;  // this node's
  cf_edge_settings written_{};
  bool settings_written_ = false;
  bool lacks_v4_ = false, lacks_v6_ = false;  // addresses to send from
  std::string port_remark_;
  std::vector<model::DenyEntry> deny_;
  std::map<std::string, std::string> denied_;  // as edge_deny has it
  std::string deny_refusal_;
  std::chrono::nanoseconds clock_offset_{0};  // of the system's clock, when edge_deny was written
  std::chrono::system_clock::time_point next_expiry_;
  EdgeInterfaces interfaces_;
  std::map<model::ObjectName, Clock::time_point> moving_;  // since when
  std::set<model::ObjectName> settled_;                    // moves that are over: flows may be pinned
  EdgeNeighbours neighbours_;
  std::uint64_t missed_ = 0;  // packets that found no link address, as last counted
  Clock::time_point next_check_{}, next_clearing_{};
  bool started_ = false;
};

}  // namespace cortexflow
