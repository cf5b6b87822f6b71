// SPDX-License-Identifier: Apache-2.0
// Authorization of bpf/mesh in this kernel: its programs, pinned so that they enforce without the agent, and its
// tables, which an agent that comes back finds as they were.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/kernel/introspect.h"
#include "agent/kernel/named_maps.h"
#include "bpf/abi/policy.h"

struct bpf_program;
struct policy_bpf;
struct ring_buffer;

namespace cortexflow::kernel {

struct PolicyTablesOptions {
  std::string cgroup_root;
  std::string pin_path;
  bool keep_on_exit = false;  // the programs go on enforcing when this object is gone
  int sockets = -1;  // the map policy_sockets that others read already, where there is none pinned; negative: none do
};

// Entries are octets as in bpf/abi/policy.h.
class PolicyTables : public NamedMaps {
 public:
  // Are there programs of an agent before?
  [[nodiscard]] static bool is_pinned(const std::string& pin_path);
  // Loads the programs over the pinned tables, or over new ones where there are none or their layout is another's.
  // Nothing is attached that was not attached before.
  [[nodiscard]] static Result<std::unique_ptr<PolicyTables>> open(const PolicyTablesOptions& options);
  // Closes this machine's workloads until an agent has read its policies: from this network namespace's point of view,
  // all sockets of others.  Where programs are pinned already, they go on: false.
  [[nodiscard]] static Result<bool> close(const PolicyTablesOptions& options);
  // Takes that back, where nothing else is pinned of policy.
  [[nodiscard]] static Result<void> open_closed(const std::string& pin_path);
  [[nodiscard]] static Result<void> try_load();  // and lets them go again: does this kernel take them?
  ~PolicyTables();
  PolicyTables(const PolicyTables&) = delete;
  PolicyTables& operator=(const PolicyTables&) = delete;

  // Attaches, or puts these programs in the place of the pinned ones, each without a moment between.  To be called when
  // the tables are written.
  [[nodiscard]] Result<void> attach();
  // Those that tell connect() of a refusal at once.  Anew each time: they come after what is attached by then, such as
  // the programs that put a backend's address in the place of a service's.
  [[nodiscard]] Result<void> attach_connects();

  // Pins that somebody has taken away are made again, as without them nothing is enforced when the agent has gone.
  // True: some were.
  [[nodiscard]] Result<bool> keep_pinned();

  [[nodiscard]] auto settings() const { return value<cf_policy_settings>("policy_settings", 0); }
  [[nodiscard]] std::chrono::system_clock::time_point closed_since() const;
  [[nodiscard]] std::vector<std::uint64_t> hits() const;  // by the rule's number

  // What was refused, or would be, since the agent before read it last.  One thread at a time.
  [[nodiscard]] std::vector<std::string> read_events();  // octets of cf_policy_event
  // Events written since open(), or found there then; and those that the ring had no room for.
  struct EventCounts {
    std::uint64_t told = 0, lost = 0;
  };
  [[nodiscard]] EventCounts event_counts() const;
  [[nodiscard]] MapInfo ring() const;
  [[nodiscard]] int sockets() const;  // the map policy_sockets

  // Asked when this object goes, so that a start that fails leaves what it found.
  void set_keep_on_exit(bool keep) { options_.keep_on_exit = keep; }
  // True if open() found tables of an agent before.
  [[nodiscard]] bool adopted() const { return adopted_; }

  // By enum cf_policy_verdict and enum cf_policy_counter.
  [[nodiscard]] auto counters() const { return sums<CF_POLICY_C_MAX>("policy_counters"); }
  [[nodiscard]] std::vector<ProgramInfo> programs() const;

 private:
  struct Link {
    std::string pin;
    Fd fd;
  };

  explicit PolicyTables(PolicyTablesOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Result<void> load();
  [[nodiscard]] Result<void> open_ring();
  [[nodiscard]] Result<void> attach(bpf_program* program, std::vector<Link>& links);
  [[nodiscard]] std::string pin_of(std::string_view name) const;
  void remove_pins();

  PolicyTablesOptions options_;
  Fd cgroup_;
  policy_bpf* skeleton_ = nullptr;
  ring_buffer* ring_ = nullptr;
  std::vector<std::string> read_;
  EventCounts before_;
  std::vector<Link> links_, connect_links_;
  bool adopted_ = false;
};

}  // namespace cortexflow::kernel
