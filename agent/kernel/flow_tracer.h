// SPDX-License-Identifier: Apache-2.0
// The flow program of bpf/observe in this kernel: loaded, attached; its records and counters.  Not pinned: it only
// looks, and goes with the agent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/kernel/introspect.h"
#include "bpf/abi/flow.h"

struct bpf_link;
struct flow_bpf;
struct flow_open_bpf;
struct ring_buffer;

namespace cortexflow::kernel {

// Maps of other programs, in which they leave what they know of a socket; negative: there are no such programs.
struct FlowSockets {
  int services = -1;  // svc_sockets
  int policy = -1;    // policy_sockets
};

class FlowTracer {
 public:
  using RecordHandler = std::function<void(std::span<const std::byte>)>;

  [[nodiscard]] static Result<std::unique_ptr<FlowTracer>> open(const std::string& cgroup_root,
                                                                const FlowSockets& sockets, RecordHandler on_record);
  // Loads the program and lets it go again: does this kernel take it?
  [[nodiscard]] static Result<void> try_load();
  ~FlowTracer();
  FlowTracer(const FlowTracer&) = delete;
  FlowTracer& operator=(const FlowTracer&) = delete;

  // Becomes readable when the ring fills; small amounts wait for the next consume().
  [[nodiscard]] int ring_fd() const;
  // Nothing more is seen; what is in the ring still is to be consumed.
  void detach();
  // For policy programs that are loaded later.
  [[nodiscard]] int policy_sockets() const;
  // Hands over every record in the ring.  Handler and caller share one thread.
  void consume();

  // Thread-safe from here on.
  [[nodiscard]] std::array<std::uint64_t, CF_FLOW_C_MAX> counters() const;
  [[nodiscard]] MapInfo ring() const;
  [[nodiscard]] std::vector<ProgramInfo> programs() const;
  [[nodiscard]] bool lists_open() const { return open_link_ != nullptr; }
  // Records of connections that are open now, `limit` at most.  Fails where this kernel has no such iterator.
  [[nodiscard]] Result<std::vector<cf_flow>> open_flows(std::size_t limit) const;

 private:
  FlowTracer(std::string cgroup_root, RecordHandler on_record);
  [[nodiscard]] bool load_iterator(bool other_storage);  // false: this kernel doesn't take it so

  std::string cgroup_root_;
  RecordHandler on_record_;
  flow_bpf* skeleton_ = nullptr;
  bpf_link* link_ = nullptr;
  ring_buffer* ring_ = nullptr;
  flow_open_bpf* open_skeleton_ = nullptr;  // null: this kernel takes none
  bpf_link* open_link_ = nullptr;
};

}  // namespace cortexflow::kernel
