// SPDX-License-Identifier: Apache-2.0
#include "agent/flows.h"

#include <algorithm>
#include <utility>

#include "agent/base/clock.h"
#include "agent/flow/flow_builder.h"

namespace cortexflow {

void Flows::open(const std::string& cgroup_root, const kernel::FlowSockets& sockets, Namer name, Namer name_locked) {
  name_ = std::move(name);
  name_locked_ = std::move(name_locked);
  auto tracer =
      kernel::FlowTracer::open(cgroup_root, sockets, [this](std::span<const std::byte> record) { on_record(record); });
  if (tracer) {
    tracer_ = std::move(*tracer);
  } else {
    trouble_ = tracer.error().to_string();
  }
}

std::optional<int> Flows::fd() const { return tracer_ ? std::optional(tracer_->ring_fd()) : std::nullopt; }

void Flows::consume(std::chrono::nanoseconds clock_offset) {
  if (!tracer_) return;
  clock_offset_ = clock_offset;
  tracer_->consume();
}

void Flows::drain(std::chrono::nanoseconds clock_offset) {
  if (tracer_) tracer_->detach();  // first, or what is emitted from here on is neither delivered nor lost
  consume(clock_offset);
  log_.log().close();
}

void Flows::on_record(std::span<const std::byte> record) {
  const auto decoded = events::decode_flow(record);
  if (!decoded) {
    ++records_.errors[static_cast<std::size_t>(decoded.error())];
    return;
  }
  deliver(flow::build(*decoded, clock_offset_, resolver_), decoded->policy, records_);
}

void Flows::on_refusal(std::span<const std::byte> record, std::chrono::nanoseconds clock_offset) {
  const auto decoded = events::decode_policy(record);
  if (!decoded) {
    ++refusals_.errors[static_cast<std::size_t>(decoded.error())];
    return;
  }
  deliver(flow::build(*decoded, clock_offset, resolver_), decoded->judgment, refusals_);
}

void Flows::deliver(model::Flow flow, const cf_policy_judgment& policy, Arrivals& arrivals) {
  auto kept = std::make_shared<model::Flow>(std::move(flow));
  if (name_) name_(*kept, policy);
  metrics_.record(*kept);
  log_.log().push(std::move(kept));
  ++arrivals.delivered;
}

sink::FlowFigures Flows::Arrivals::figures() const {
  sink::FlowFigures out;
  out.delivered = delivered;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    out.lost[std::string(events::cause(static_cast<events::DecodeError>(i)))] = errors[i];
  }
  return out;
}

control::FunctionStatus Flows::function() const {
  if (!tracer_) return {"tcp flows", "", true, trouble_ + ": connections are neither shown nor counted"};
  if (!tracer_->lists_open()) {
    return {"tcp flows", "sock_ops", true,
            "the kernel refused the iterator over sockets: open connections can't be listed"};
  }
  return {"tcp flows", "sock_ops + iterator", false, ""};
}

std::optional<sink::FlowFigures> Flows::figures() const {
  if (!tracer_) return std::nullopt;
  auto out = records_.figures();  // before what was emitted, so that this is never the smaller one
  const auto counters = tracer_->counters();
  out.lost["ring_full"] = counters[CF_FLOW_C_LOST_RING_FULL];
  out.emitted = counters[CF_FLOW_C_EMITTED] + counters[CF_FLOW_C_LOST_RING_FULL];
  out.untracked = counters[CF_FLOW_C_UNTRACKED];
  return out;
}

std::optional<kernel::MapInfo> Flows::ring() const { return tracer_ ? std::optional(tracer_->ring()) : std::nullopt; }

std::vector<kernel::ProgramInfo> Flows::programs() const {
  return tracer_ ? tracer_->programs() : std::vector<kernel::ProgramInfo>{};
}

Result<std::vector<model::Flow>> Flows::open_flows(std::size_t limit) const {
  if (!tracer_) return fail("{}", function().detail);
  auto records = tracer_->open_flows(limit);
  if (!records) return tl::make_unexpected(std::move(records.error()));
  std::sort(records->begin(), records->end(), [](const auto& a, const auto& b) { return a.start_ns > b.start_ns; });
  std::vector<model::Flow> out;
  out.reserve(records->size());
  const auto offset = clock_offset();
  const std::lock_guard lock(open_mutex_);
  for (const auto& record : *records) {
    out.push_back(flow::build(record, offset, open_resolver_));
    if (name_locked_) name_locked_(out.back(), record.policy);
  }
  return out;
}

}  // namespace cortexflow
