// SPDX-License-Identifier: Apache-2.0
// TCP connections of this node as they end: kernel -> events -> flow -> metrics, and the log that the control API
// reads. Only looks: where the kernel takes no such program, the agent goes on without.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/control/node_view.h"
#include "agent/events/flow_event.h"
#include "agent/events/policy_event.h"
#include "agent/flow/workload_resolver.h"
#include "agent/kernel/flow_tracer.h"
#include "agent/log_view.h"
#include "agent/sink/agent_metrics.h"
#include "agent/sink/flow_metrics.h"

namespace cortexflow {

class Flows {
 public:
  // What the configuration knows of the flow's sides, and of what policy said of it.
  using Namer = std::function<void(model::Flow&, const cf_policy_judgment&)>;

  Flows(prometheus::Registry& registry, flow::WorkloadResolver& resolver) : resolver_(resolver), metrics_(registry) {}

  // What fails is function()'s to say.  `name` is called in the event loop's thread, `name_locked` in others.
  void open(const std::string& cgroup_root, const kernel::FlowSockets& sockets, Namer name, Namer name_locked);
  [[nodiscard]] int policy_sockets() const { return tracer_ ? tracer_->policy_sockets() : -1; }
  // The event loop's thread alone.
  [[nodiscard]] std::optional<int> fd() const;  // readable when there is much to consume
  void consume(std::chrono::nanoseconds clock_offset);
  void drain(std::chrono::nanoseconds clock_offset);
  // A record of the policy programs.
  void on_refusal(std::span<const std::byte> record, std::chrono::nanoseconds clock_offset);

  // Thread-safe from here on.
  [[nodiscard]] const control::RecordView<model::Flow>& view() const { return log_; }
  [[nodiscard]] control::FunctionStatus function() const;
  [[nodiscard]] std::optional<sink::FlowFigures> figures() const;  // none: there is no program
  // Of what policy refused: what came through, and what was lost behind the ring.
  [[nodiscard]] sink::FlowFigures refusals() const { return refusals_.figures(); }
  [[nodiscard]] std::optional<kernel::MapInfo> ring() const;
  [[nodiscard]] std::vector<kernel::ProgramInfo> programs() const;
  // Those that have not ended, `limit` at most, the newest first.
  [[nodiscard]] Result<std::vector<model::Flow>> open_flows(std::size_t limit) const;

 private:
  // Of one ring: what came out of it.
  struct Arrivals {
    std::atomic<std::uint64_t> delivered{0};
    std::array<std::atomic<std::uint64_t>, events::kDecodeErrors> errors{};

    [[nodiscard]] sink::FlowFigures figures() const;
  };

  void on_record(std::span<const std::byte> record);
  void deliver(model::Flow flow, const cf_policy_judgment& policy, Arrivals& arrivals);

  flow::WorkloadResolver& resolver_;
  Namer name_, name_locked_;
  std::chrono::nanoseconds clock_offset_{0};
  LogView<model::Flow> log_;
  sink::FlowMetrics metrics_;
  Arrivals records_, refusals_;
  std::unique_ptr<kernel::FlowTracer> tracer_;
  std::string trouble_;
  mutable std::mutex open_mutex_;  // of open_resolver_
  mutable flow::WorkloadResolver open_resolver_ = flow::WorkloadResolver::of_this_host();
};

}  // namespace cortexflow
