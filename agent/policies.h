// SPDX-License-Identifier: Apache-2.0
// AuthorizationPolicies and NetworkPolicies on their way into the kernel: snapshots -> plan -> map writes, in an order
// in which every state between refuses what both the one before and the one after refuse.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/compile/policy_plan.h"
#include "agent/control/node_view.h"
#include "agent/control/policy_view.h"
#include "agent/kernel/policy_tables.h"
#include "agent/model/flow.h"
#include "agent/model/object.h"
#include "agent/source/policy_documents.h"
#include "agent/source/settings.h"
#include "agent/state/desired_state.h"

namespace cortexflow {

class Policies {
 public:
  Policies(const source::Settings& settings, std::string cgroup_root);
  // Leaves policy in force as the settings say, or, where the start failed, as it was found.
  ~Policies();
  Policies(const Policies&) = delete;
  Policies& operator=(const Policies&) = delete;

  // Takes over what an agent before left; nothing is loaded where there is nothing and no policy has come.
  [[nodiscard]] Result<void> open();
  // Both from the event loop.  An error leaves what was written before it.
  [[nodiscard]] Result<void> update(const state::Update& update, const model::Unread& unread);
  [[nodiscard]] Result<void> set_node_addresses(std::vector<model::IpAddress> addresses);
  // Looks again for namespaces and cgroups that were not there.
  [[nodiscard]] Result<void> tick(std::chrono::steady_clock::time_point now);
  // Connects come translated from here on.
  [[nodiscard]] Result<void> services_are_attached();
  void end_as_configured();  // the agent has started

  // Where flows read what is said of a connection: `share_sockets` of the map that they have, before policy has come;
  // `sockets` the map once it has, else negative.
  void share_sockets(int map);
  [[nodiscard]] int sockets() const;
  // What was refused, or would be, since the last call: octets of cf_policy_event.
  [[nodiscard]] std::vector<std::string> read_events();
  void name_verdict(model::Flow& flow, const cf_policy_judgment& judgment) const;

  [[nodiscard]] std::vector<std::string> refusals() const;
  [[nodiscard]] control::PolicyList policies() const;  // without where they come from
  // Why the kernel doesn't enforce the latest; empty: it does.
  [[nodiscard]] std::string not_in_force() const;
  [[nodiscard]] control::IdentityList identities() const;
  [[nodiscard]] control::Answer<control::PolicySimulation> simulate(
      const std::map<model::ObjectKey, source::PolicyDocument>& tried, const control::Flows& flows) const;
  [[nodiscard]] control::Answer<control::PolicyCheck> check(const control::PolicyQuery& query) const;
  struct Figures {
    std::array<std::map<std::string, std::uint64_t>, CF_POLICY_DIRECTIONS> verdicts;
    std::map<std::string, std::uint64_t> events;
    kernel::PolicyTables::EventCounts records;
    std::map<std::string, std::uint64_t> hits;  // by rule; those that have any, the busiest
    bool boot_closed = false;
    std::vector<std::pair<const char*, std::pair<std::size_t, std::size_t>>> maps;  // used, and limit
  };
  [[nodiscard]] std::optional<Figures> figures() const;  // none: no policy has come
  [[nodiscard]] std::vector<kernel::ProgramInfo> programs() const;
  [[nodiscard]] control::FunctionStatus function() const;

 private:
  struct Table {
    std::map<std::string, cf_policy_rule> rules, blocks;
    bool whole = true;  // in the kernel
  };
  using Octets = std::map<std::string, std::string>;

  [[nodiscard]] control::FunctionStatus function_status() const;
  [[nodiscard]] std::string held_words() const;
  [[nodiscard]] Result<void> apply();
  [[nodiscard]] Result<void> write_plan();
  [[nodiscard]] bool pods_changed(const std::set<model::ObjectName>& touched) const;
  [[nodiscard]] bool close_unread();
  [[nodiscard]] bool held() const;
  [[nodiscard]] static tl::unexpected<control::Refused> refused_while_held();
  void gather_into(compile::PolicyInput& input) const;
  [[nodiscard]] cf_policy_unknown unknown_peers() const;
  [[nodiscard]] Result<void> load();
  void adopt();
  [[nodiscard]] Result<void> keep_pinned();
  void find_locals();
  [[nodiscard]] std::uint32_t flags() const;
  void write_tables(std::map<std::uint64_t, cf_policy_target>& targets);
  [[nodiscard]] Result<void> write_settings();
  [[nodiscard]] Result<void> put_all(const char* map, const Octets& wanted, Octets& had);
  [[nodiscard]] Result<void> erase_others(const char* map, const Octets& wanted, Octets& had);
  [[nodiscard]] Result<void> erase_tables(const std::set<std::uint32_t>& numbers);

  source::PolicySettings options_;
  std::string cgroup_root_, pin_path_;
  int shared_sockets_ = -1;
  mutable std::mutex mutex_;  // of all below
  std::unique_ptr<kernel::PolicyTables> tables_;
  std::shared_ptr<const state::Snapshot> snapshot_ = std::make_shared<const state::Snapshot>();
  model::Unread unread_;
  bool services_attached_ = false;
  bool started_ = false;
  bool took_over_ = false;                                             // what is in force is by this agent's plan
  std::optional<std::chrono::system_clock::time_point> closed_since_;  // by cfagent --close
  bool complete_ = false;  // everything could be read once: from then on the sources keep the last good
  compile::PolicyInput input_;
  compile::PolicyPlan plan_;
  compile::RuleNumbers numbers_;
  std::vector<std::string> local_refusals_;
  Octets locals_wanted_;
  std::chrono::steady_clock::time_point looked_;
  std::chrono::steady_clock::time_point next_pods_;  // when changes of pods alone are next compiled
  bool pods_wait_ = false;
  std::string pin_problem_;
  // What the kernel has.
  std::map<std::uint32_t, Table> written_;
  Octets addresses_, locals_, targets_, ranges_;
  cf_policy_settings settings_{};
  std::uint64_t first_generation_ = 0;  // from which on rules' numbers are this agent's; 0: none is
  std::uint32_t last_table_ = 0;
  std::string failure_;
  std::set<std::uint32_t> stale_hits_;  // numbers that another agent had given
};

}  // namespace cortexflow
