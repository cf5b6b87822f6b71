// SPDX-License-Identifier: Apache-2.0
// One node: kernel -> events -> flow -> sinks, and what the control API shows of it.
#pragma once

#include <signal.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "agent/control/deny_operator.h"
#include "agent/control/node_view.h"
#include "agent/events/dns_event.h"
#include "agent/flow/workload_resolver.h"
#include "agent/flow/workload_table.h"
#include "agent/flows.h"
#include "agent/kernel/dns_tracer.h"
#include "agent/log_view.h"
#include "agent/services.h"
#include "agent/sink/agent_metrics.h"
#include "agent/sink/dns_metrics.h"
#include "agent/sink/kubernetes_metrics.h"
#include "agent/source/settings.h"

namespace cortexflow {

class Node : public control::NodeView, public control::ServiceOperator, public control::DenyOperator {
 public:
  using LogLines = std::function<std::vector<std::string>(std::size_t)>;

  Node(const source::Settings& settings, prometheus::Registry& registry, LogLines log_lines);

  // What status() says beside; before others use it.
  void set_identity(std::function<control::FunctionStatus()> identity) { identity_ = std::move(identity); }
  // Loads and attaches.  Before run().
  [[nodiscard]] Result<void> open();
  // One thread: reads records, sweeps, until a signal says stop.  `reload` is called on SIGHUP.
  [[nodiscard]] Result<void> run(const sigset_t& signals, const std::function<void()>& reload);
  // Lets go of the packets, reads what is left and wakes every watcher.
  void drain();
  // On SIGHUP: what can change while running.
  [[nodiscard]] Result<void> apply(const source::Settings& settings);

  [[nodiscard]] sink::AgentFigures figures() const;
  [[nodiscard]] std::vector<sink::ServiceFigures> service_figures() const;
  [[nodiscard]] std::optional<sink::KubernetesFigures> kubernetes_figures() const;  // none: no API server is followed

  [[nodiscard]] control::PolicyOperator* policies() const;  // null: no manifests are followed

  [[nodiscard]] control::Status status() const override;
  [[nodiscard]] std::vector<control::BpfProgram> bpf_programs() const override;
  [[nodiscard]] std::vector<control::WorkloadRow> workloads() const override;
  [[nodiscard]] std::vector<control::DropRow> drops() const override;
  [[nodiscard]] Result<std::vector<control::VethRow>> veths() const override;
  [[nodiscard]] std::vector<control::ServiceRow> services() const override;
  [[nodiscard]] std::vector<std::string> service_refusals() const override;
  control::Done set_weights(const std::string& service,
                            const std::vector<std::pair<std::string, std::uint32_t>>& weights) override;
  control::Done reset_weights(const std::string& service) override;
  [[nodiscard]] control::Answer<control::DenyView> deny_list() const override;
  control::Done deny(const std::string& entry) override;
  control::Done allow(const std::string& cidr) override;
  control::Done set_drained(const std::string& service, const std::string& backend, bool drained) override;
  [[nodiscard]] control::Answer<std::vector<control::SimulatedPort>> simulate(
      const control::SimulationQuery& query) const override;
  [[nodiscard]] control::Answer<control::Explanation> explain(const std::string& caller,
                                                              const std::string& target) const override;
  [[nodiscard]] std::vector<std::string> log_lines(std::size_t max) const override;
  [[nodiscard]] const control::RecordView<model::DnsLookup>& lookups() const override { return log_; }
  [[nodiscard]] const control::RecordView<model::Flow>& flows() const override { return flows_.view(); }
  [[nodiscard]] Result<std::vector<model::Flow>> open_flows(std::size_t limit) const override {
    return flows_.open_flows(limit);
  }
  [[nodiscard]] bool draining() const override { return draining_; }

 private:
  [[nodiscard]] std::vector<kernel::ProgramInfo> kernel_programs() const;
  void consume();
  void on_record(std::span<const std::byte> record);
  void deliver(const cf_dns_lookup& record);
  void sweep();

  mutable std::mutex settings_mutex_;
  source::Settings settings_;
  LogLines log_lines_;
  std::function<control::FunctionStatus()> identity_;  // empty: no certificate authority is inside
  std::chrono::system_clock::time_point started_;
  flow::WorkloadResolver resolver_;
  std::chrono::nanoseconds clock_offset_{0};  // the event loop's
  LogView<model::DnsLookup> log_;
  flow::WorkloadTable workloads_;
  sink::DnsMetrics metrics_;
  Flows flows_;
  std::atomic<std::uint64_t> delivered_{0};
  std::atomic<std::uint64_t> timed_out_{0};
  std::atomic<std::uint64_t> name_errors_{0};
  std::array<std::atomic<std::uint64_t>, events::kDecodeErrors> decode_errors_{};
  std::atomic<bool> draining_{false};
  std::string cgroup_root_;
  Fd stats_;
  std::unique_ptr<kernel::DnsTracer> tracer_;
  std::chrono::steady_clock::time_point expired_;  // the event loop's
  std::unique_ptr<Services> services_;             // null: no manifests
  std::vector<control::FunctionStatus> left_;      // of an agent before, where this one follows no services
};

}  // namespace cortexflow
