// SPDX-License-Identifier: Apache-2.0
// What the user wants of services, on its way into the kernel: manifests -> desired state -> plans -> map writes.
// The event loop's thread polls it; what it shows may be read from any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/address_directory.h"
#include "agent/avoided_memory.h"
#include "agent/base/result.h"
#include "agent/caller.h"
#include "agent/compile/service_book.h"
#include "agent/connection_totals.h"
#include "agent/control/deny_operator.h"
#include "agent/control/policy_operator.h"
#include "agent/control/service_operator.h"
#include "agent/control/service_view.h"
#include "agent/deny_book.h"
#include "agent/deny_memory.h"
#include "agent/edge.h"
#include "agent/ejections.h"
#include "agent/flow/pod_cgroups.h"
#include "agent/kernel/kept_writes.h"
#include "agent/kernel/redirect.h"
#include "agent/kernel/service_tables.h"
#include "agent/known_callers.h"
#include "agent/model/flow.h"
#include "agent/node_addresses.h"
#include "agent/override_book.h"
#include "agent/pod_directory.h"
#include "agent/policies.h"
#include "agent/policy_book.h"
#include "agent/service_health.h"
#include "agent/service_health_ports.h"
#include "agent/source/settings.h"
#include "agent/sources.h"
#include "agent/stale_socket_sweep.h"
#include "agent/state/desired_state.h"
#include "agent/state/overrides.h"
#include "agent/state_directory.h"

namespace cortexflow {

class Services : public control::ServiceOperator, public control::DenyOperator, public control::PolicyOperator {
 public:
  ~Services() override;
  using Clock = Sources::Time::clock;

  // Loads the programs over what an agent before left, and reads the manifests once; attached when all of it stands.
  [[nodiscard]] static Result<std::unique_ptr<Services>> open(const source::Settings& settings,
                                                              const std::string& cgroup_root);

  // The agent has started: its end takes along what the settings say.  Until then, what open() found is left where it
  // is.
  void end_as_configured();

  // Readable when poll() has something to do.
  [[nodiscard]] std::vector<int> fds() const;
  [[nodiscard]] std::optional<Clock::time_point> due() const { return sources_.due(); }
  // Writes what has changed.  Errors are those of the kernel's maps, said once each.
  [[nodiscard]] std::vector<Error> poll();
  // Five times a second: judges backends by how real connections to them went (policies with outlierDetection), and
  // looks what load balancers are to be told.  Errors as poll().
  [[nodiscard]] std::vector<Error> judge_backends();

  [[nodiscard]] std::vector<control::ServiceRow> rows() const;
  control::Done set_weights(const std::string& service,
                            const std::vector<std::pair<std::string, std::uint32_t>>& weights) override;
  control::Done reset_weights(const std::string& service) override;
  control::Done set_drained(const std::string& service, const std::string& backend, bool drained) override;
  [[nodiscard]] control::Answer<std::vector<control::SimulatedPort>> simulate(
      const control::SimulationQuery& query) const override;
  [[nodiscard]] control::Answer<control::Explanation> explain(const std::string& caller,
                                                              const std::string& target) const override;
  [[nodiscard]] control::Answer<control::DenyView> deny_list() const override;
  control::Done deny(const std::string& entry) override;
  control::Done allow(const std::string& cidr) override;
  [[nodiscard]] control::PolicyList policies() const override;
  [[nodiscard]] control::Answer<control::PolicyCheck> check(const control::PolicyQuery& query) const override;
  [[nodiscard]] control::IdentityList identities() const override { return policies_.identities(); }
  [[nodiscard]] control::Answer<control::PolicySimulation> simulate_policies(
      const std::string& documents, const control::Flows& flows) const override;
  [[nodiscard]] control::Answer<control::PolicyChanges> apply_policies(const std::string& documents,
                                                                       bool dry_run) override;
  [[nodiscard]] control::Answer<control::PolicyChanges> delete_policy(const std::string& kind,
                                                                      const std::string& name) override;
  [[nodiscard]] std::vector<std::string> refusals() const;
  [[nodiscard]] std::size_t unused() const;  // parts of the configuration, now
  struct Use {
    const char* map;
    std::size_t used, limit;
  };
  [[nodiscard]] std::vector<Use> usage() const;
  [[nodiscard]] std::vector<sink::ServiceFigures> figures() const;
  struct Backends {
    std::size_t available = 0, unhealthy = 0, ejected = 0, drained = 0;  // of all service ports; avoided ones once each
    std::size_t panics = 0;                                              // service ports that use them all the same
  };
  [[nodiscard]] Backends backends() const;
  [[nodiscard]] health::Figures health() const { return health_.figures(); }
  // Backends that a policy wants checked and that are not, as there are too many.
  [[nodiscard]] std::size_t unchecked() const {
    const std::lock_guard lock(mutex_);
    return health_.refused();
  }
  [[nodiscard]] std::size_t overrides() const;  // services that an operator has set something of
  [[nodiscard]] const kernel::ServiceTables& tables() const { return *tables_; }
  [[nodiscard]] kernel::Redirect* redirect() const { return redirect_.get(); }  // null: no interfaces are chosen
  // Null: sockets stay with a backend that leaves.
  [[nodiscard]] const StaleSocketSweep* stale_sockets() const { return stale_sockets_.get(); }
  [[nodiscard]] const Policies& authorization() const { return policies_; }
  [[nodiscard]] Policies& authorization() { return policies_; }
  [[nodiscard]] const Edge* edge() const { return edge_.get(); }                                // null: none
  [[nodiscard]] const ServiceHealthPorts* health_ports() const { return health_ports_.get(); }  // null: none
  [[nodiscard]] std::vector<control::FunctionStatus> functions() const;
  // The event loop's thread alone.
  void name_pod(model::Workload& workload) const { pods_.name(workload); }
  // Pods whose addresses are reached by an interface, by its name.  In any thread.
  [[nodiscard]] std::map<std::string, std::vector<std::string>> pods_by_interface() const;
  void name_flow(model::Flow& flow, const cf_policy_judgment& policy) const;
  // In any thread.
  void name_flow_locked(model::Flow& flow, const cf_policy_judgment& policy) const {
    const std::lock_guard lock(mutex_);
    name_flow(flow, policy);
  }
  struct Applied {
    std::uint64_t generation = 0;
    std::chrono::system_clock::time_point when;
    Clock::duration took{0};
  };
  [[nodiscard]] Applied applied() const {
    const std::lock_guard lock(mutex_);
    return applied_;
  }
  [[nodiscard]] const source::KubernetesSource* kubernetes() const { return sources_.kubernetes(); }  // null: none

 private:
  Services(StateDirectory state_directory, Sources sources, std::unique_ptr<kernel::ServiceTables> tables,
           ServiceHealth health, NodeAddresses addresses, compile::NodeContext node, const source::Settings& settings,
           std::string cgroup_root, OverrideBook overrides, DenyBook deny_book, DenyMemory deny_memory,
           PolicyBook policy_book);

  [[nodiscard]] std::pair<std::shared_ptr<const state::Snapshot>, CallersPlace> known_place() const;
  void open_edge(const source::Settings& settings);
  [[nodiscard]] Result<void> start_health_ports();
  void poll_health_ports(std::vector<Error>& errors);
  [[nodiscard]] std::string why_unwell() const;
  void note_addresses(const state::Update& update);
  void poll_edge(std::vector<Error>& errors);
  void poll_addresses(std::vector<Error>& errors);
  void recall_deny();
  void settle_deny(bool changed);
  void keep_deny();
  void update_deny();
  control::Done keep_denied(model::DenyList list);  // under writes_mutex_
  [[nodiscard]] std::string place_of_policy(const model::ObjectKey& key) const;
  [[nodiscard]] control::Answer<control::PolicyChanges> keep_policies(control::PolicyChanges out,
                                                                      PolicyBook::Documents all,
                                                                      model::SourceUpdate changes);
  void take_over(std::vector<Error>& errors);
  void note_pod_cgroups(std::vector<Error>& errors);
  void update(const Sources::Update& changes, std::vector<Error>& errors);
  [[nodiscard]] bool may_lack(const model::ObjectName& service) const;
  [[nodiscard]] std::vector<std::string> unused_words() const;
  void say_unused();
  void note_unread(const model::Unread& unread, std::set<model::ObjectName>& touched);
  void settle(std::vector<Error>& errors);
  [[nodiscard]] std::map<std::uint16_t, model::ObjectName> names_by_owner() const;
  [[nodiscard]] std::string why_held(const model::ObjectName* name) const;
  void add_held_rows(std::vector<control::ServiceRow>& rows) const;
  void drop_gone_override(const model::ObjectName& service, const state::Snapshot& snapshot);
  [[nodiscard]] Result<void> start_override_writer();
  void write_dropped_overrides();
  void avoid_drained(const model::ObjectName& service);
  using OverrideChange =
      std::function<state::Overridden<model::ServiceOverride>(const model::ObjectName&, const model::ServiceOverride&)>;
  control::Done change_override(const std::string& service, const OverrideChange& change);
  // New plans of these services, from the latest snapshot, what is avoided now and what the operator has set.
  void plan(const std::set<model::ObjectName>& services, std::vector<Error>& errors);
  // All that `by` has against the service's backends from now on; true where that is a change, which plan() brings in.
  bool avoid(const model::ObjectName& service, compile::AvoidedBy by,
             const std::map<compile::BackendPort, std::string>& reasons);
  void keep_avoided(const model::ObjectName& service, std::vector<Error>& errors);
  void write(const std::vector<compile::Operation>& operations, std::vector<Error>& errors);
  void open_stale_sockets();
  // Backends of these services' UDP ports that have not left, each with the number of its service port.
  using UdpMembers = std::set<std::pair<std::uint32_t, compile::Backend>>;
  [[nodiscard]] UdpMembers udp_members_of(
      const std::map<model::ObjectName, std::vector<compile::ServicePlan>>& services) const;
  [[nodiscard]] bool has_left(const cf_svc_stale_socket& socket) const;

  StateDirectory state_directory_;  // the first: all below read and write there
  Sources sources_;
  mutable std::mutex sources_mutex_;  // of whoever looks into sources_ while poll() may; nobody else is taken under it
  std::unique_ptr<kernel::ServiceTables> tables_;
  kernel::KeptWrites writes_;
  std::unique_ptr<kernel::Redirect> redirect_;   // over tables_
  std::optional<flow::PodCgroups> pod_cgroups_;  // where there is an API server, whose pods have them
  ServiceHealth health_;
  NodeAddresses addresses_;  // the event loop's, as the next
  DenyMemory deny_memory_;
  std::string cgroup_root_;
  Policies policies_;
  bool keep_on_exit_ = false;                         // services.keep_on_exit
  std::unique_ptr<Edge> edge_;                        // null: no interface is its
  std::string edge_failure_;                          // why there is none though interfaces are
  std::unique_ptr<ServiceHealthPorts> health_ports_;  // null: load balancers are not answered

  // Of whoever changes an operator's file, over the write; taken before mutex_, which nobody holds while the disk
  // works.
  std::mutex writes_mutex_;
  mutable std::mutex mutex_;  // all below: the control API reads it, and sets overrides
  compile::NodeContext node_;
  OverrideBook overrides_;
  DenyBook deny_book_;      // changed under both
  PolicyBook policy_book_;  // likewise
  bool deny_recalled_ = false;
  DenyMemory::Lists held_deny_;                    // in force though they can't be read
  std::string held_deny_words_;                    // likewise, in words
  std::optional<DenyMemory::Lists> deny_to_keep_;  // by keep_deny()
  std::string deny_failure_;                       // why none would be so at the next start
  static constexpr std::size_t kDroppedKept = 100;
  std::string override_failure_;      // why what has gone of them is still in the file
  bool overrides_unwritten_ = false;  // something was dropped that the file still has
  bool ending_ = false;
  std::condition_variable overrides_dropped_;
  std::thread override_writer_;      // of what was dropped
  std::deque<std::string> dropped_;  // overrides whose target has gone, the latest, in words
  state::DesiredState desired_{Sources::names()};
  Applied applied_;  // of desired_, to the kernel
  compile::ServiceBook book_;
  std::map<model::ObjectName, compile::AvoidedBackends> avoided_;
  Ejections ejections_;
  AvoidedMemory memory_;  // of what speaks against backends
  ConnectionTotals totals_;
  std::map<model::ObjectName, std::vector<std::string>> plan_refusals_;
  std::set<std::string> said_unused_;
  bool configuration_changed_ = false;  // since it was looked what of it is not used
  Clock::time_point looked_unused_;
  KnownCallers callers_;
  std::shared_ptr<const state::Snapshot> named_;  // as pods last changed; the event loop's thread alone writes it
  PodDirectory pods_;
  AddressDirectory pod_addresses_, service_addresses_;
  // What can't be read yet; none: since the start all could be once, so that the sources keep the last good.
  std::optional<model::Unread> unread_ = model::Unread{};
  std::string held_words_;                         // what stays as it was for that
  model::Unread sources_unread_ = {true, {}, {}};  // of all but the operator
  const std::chrono::system_clock::time_point taken_over_ = std::chrono::system_clock::now();

  std::string stale_sockets_failure_;                // why there is none
  std::unique_ptr<StaleSocketSweep> stale_sockets_;  // the last, as its thread looks at all that is above
};

}  // namespace cortexflow
