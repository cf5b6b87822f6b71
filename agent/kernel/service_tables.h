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

class ServiceTables {
 public:
  using Entries = std::vector<std::pair<std::string, std::string>>;  // key and value, octets as in bpf/abi/service.h

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

  // `map` as bpftool names it.  Thread-safe.
  [[nodiscard]] Result<void> put(std::string_view map, const std::string& key, const std::string& value);
  [[nodiscard]] Result<void> erase(std::string_view map, const std::string& key);  // one that is not there is no error
  [[nodiscard]] Entries read(std::string_view map) const;
  // Every entry of a hash map, many with each system call where the kernel can (5.6).  An entry that is made or deleted
  // meanwhile may be left out.
  void each(std::string_view map, const std::function<void(const void* key, const void* value)>& take) const;
  [[nodiscard]] std::optional<std::string> find(std::string_view map, const std::string& key) const;
  // find(), with its octets read; all zero where there is none.
  template <typename Value>
  [[nodiscard]] Value value(std::string_view map, std::uint32_t number) const {
    const auto found = find(map, octets_of(number));
    return found ? value_of<Value>(*found).value_or(Value{}) : Value{};
  }

  // Of a map by its name, for programs that share it; -1 if there is none.
  [[nodiscard]] int fd(std::string_view map) const;
  // Why no connection is followed by bpf/observe/tcp; empty if they are.
  [[nodiscard]] const std::string& unwatched() const { return unwatched_; }

  // Asked when this object goes, so that a start that fails leaves what it found.
  void set_keep_on_exit(bool keep) { options_.keep_on_exit = keep; }
  // True if open() found tables of an agent before.
  [[nodiscard]] bool adopted() const { return adopted_; }

  [[nodiscard]] std::array<std::uint64_t, CF_SVC_C_MAX> counters() const;
  // Which of the programs are at work on the cgroup: the kernel's own answer.
  struct Hook {
    std::string program;
    bool attached = false;
  };
  [[nodiscard]] std::vector<Hook> hooks() const;
  [[nodiscard]] std::vector<MapInfo> maps() const;
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
  std::map<std::string, int, std::less<>> fds_;  // of the maps, by name; the skeleton owns them
  std::vector<Fd> links_;
  bool adopted_ = false;
};

}  // namespace cortexflow::kernel
