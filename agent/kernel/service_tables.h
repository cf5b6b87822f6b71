// SPDX-License-Identifier: Apache-2.0
// The service translation of bpf/mesh in this kernel: its programs, pinned so that they work on without the agent, and
// its tables, which an agent that comes back finds as they were.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/octets.h"
#include "agent/base/result.h"
#include "agent/kernel/introspect.h"
#include "agent/kernel/named_maps.h"
#include "bpf/abi/service.h"

struct bpf_program;
struct service_bpf;
struct tcp_bpf;

namespace cortexflow::kernel {

struct ServiceTablesOptions {
  std::string cgroup_root;
  std::string pin_path;
  bool keep_on_exit = false;  // the programs go on translating when this object is gone
};

// Entries are octets as in bpf/abi/service.h.
class ServiceTables : public NamedMaps {
 public:
  // Loads the programs over the pinned tables, or over new ones where there are none or their layout is another's.
  // Nothing is attached that was not attached before.
  [[nodiscard]] static Result<std::unique_ptr<ServiceTables>> open(const ServiceTablesOptions& options);
  // Loads the programs and lets them go again: does this kernel take them?
  [[nodiscard]] static Result<void> try_load();
  ~ServiceTables();
  ServiceTables(const ServiceTables&) = delete;
  ServiceTables& operator=(const ServiceTables&) = delete;

  // Attaches, or puts these programs in the place of the pinned ones, each without a moment between.  To be called when
  // the tables are written.
  [[nodiscard]] Result<void> attach();

  // Why no connection is followed by bpf/observe/tcp; empty if they are.
  [[nodiscard]] const std::string& unwatched() const { return unwatched_; }

  // Asked when this object goes, so that a start that fails leaves what it found.
  void set_keep_on_exit(bool keep) { options_.keep_on_exit = keep; }
  // True if open() found tables of an agent before.
  [[nodiscard]] bool adopted() const { return adopted_; }

  [[nodiscard]] auto counters() const { return sums<CF_SVC_C_MAX>("svc_counters"); }
  // Which of the programs are at work on the cgroup: the kernel's own answer.
  struct Hook {
    std::string program;
    bool attached = false;
  };
  [[nodiscard]] std::vector<Hook> hooks() const;
  [[nodiscard]] std::vector<ProgramInfo> programs() const;

 private:
  explicit ServiceTables(ServiceTablesOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Result<void> load();
  void load_watch();
  [[nodiscard]] Result<void> attach(bpf_program* program);
  [[nodiscard]] std::vector<bpf_program*> all_programs() const;
  [[nodiscard]] std::string pin_of(std::string_view name) const;
  void remove_pins();

  ServiceTablesOptions options_;
  Fd cgroup_;
  service_bpf* skeleton_ = nullptr;
  tcp_bpf* watch_ = nullptr;  // null: the kernel refused it
  std::string unwatched_;
  std::vector<Fd> links_;
  bool adopted_ = false;
};

}  // namespace cortexflow::kernel
