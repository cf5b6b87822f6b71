// SPDX-License-Identifier: Apache-2.0
// The edge of bpf/mesh in this kernel: its programs on the interfaces that were named, pinned so that they work on
// without the agent, and its tables, which an agent that comes back finds as they were.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/kernel/introspect.h"
#include "agent/kernel/named_maps.h"
#include "agent/kernel/tc_hook.h"
#include "bpf/abi/edge.h"

struct bpf_map;
struct edge_bpf;

namespace cortexflow::kernel {

struct EdgeTablesOptions {
  std::string pin_path;
  bool keep_on_exit = false;  // the program goes on when this object is gone
  // Sizes of what the program writes; reserved whole when the tables are made.
  std::uint32_t translations = CF_EDGE_NAT_MAX;  // two a flow
  std::uint32_t opening = CF_EDGE_OPENING_MAX;   // two a flow
  std::uint32_t pins = CF_EDGE_PINS_MAX;
  std::uint32_t candidates = CF_EDGE_CANDIDATES_MAX;
};

enum class XdpMode : std::uint8_t { kNativeOrGeneric, kNative, kGeneric };

struct EdgeAttachment {
  std::string interface;
  bool native = false;
  TcHook out = TcHook::kTcx;         // where answers of backends on this node leave
  std::vector<std::string> remarks;  // what works less well than it could, and what to do about it
};

// Entries are octets as in bpf/abi/edge.h.
class EdgeTables : public NamedMaps {
 public:
  // Loads the program over the pinned tables, or over new ones where there are none or their layout is another's.
  // Nothing is attached that was not attached before.
  [[nodiscard]] static Result<std::unique_ptr<EdgeTables>> open(const EdgeTablesOptions& options);
  // Loads the program and lets it go again: does this kernel take it?
  [[nodiscard]] static Result<void> try_load();
  ~EdgeTables();
  EdgeTables(const EdgeTables&) = delete;
  EdgeTables& operator=(const EdgeTables&) = delete;

  // Attaches to an interface of this network namespace, or puts this program in the place of the pinned one.  To be
  // called when the tables are written.  An interface that has someone else's XDP program is refused.
  [[nodiscard]] Result<EdgeAttachment> attach(const std::string& interface, XdpMode mode = XdpMode::kNativeOrGeneric);
  void detach(const std::string& interface);
  // Takes away what an agent before left at other interfaces than these.
  void detach_others(const std::set<std::string>& interfaces);
  // Takes away what an agent before left at all interfaces, and its tables.
  static void remove_left(const std::string& pin_path);
  // Whether there is such.
  [[nodiscard]] static bool is_left(const std::string& pin_path);
  // Of that alone, what hangs on no pin too (clsact filters), where packets leave, at all interfaces but these.
  static void detach_ways_out(const std::string& pin_path, const std::set<std::string>& but);
  // False once the interface has gone, another has its name, or somebody took a program away.
  [[nodiscard]] bool is_attached(const std::string& interface) const;

  // Asked when this object goes, so that a start that fails leaves what it found.
  void set_keep_on_exit(bool keep) { options_.keep_on_exit = keep; }
  // True if open() found tables of an agent before.
  [[nodiscard]] bool adopted() const { return adopted_; }

  // Takes out the pins of backends that are gone; the backends' ids that are left have some.
  [[nodiscard]] std::set<std::uint32_t> drop_pins(const std::function<bool(std::uint32_t id)>& gone);

  // Addresses that packets of the last two or three seconds were for and had no link address on the way to; some of
  // them, as many as the program remembers.  Others without a way by XDP (no route, the node itself) are among them.
  [[nodiscard]] std::set<std::array<std::uint8_t, 16>> unreached() const;

  // By enum cf_edge_counter.
  [[nodiscard]] auto counters() const { return sums<CF_EDGE_C_MAX>("edge_counters"); }
  [[nodiscard]] std::vector<ProgramInfo> programs() const;
  // For BPF_PROG_TEST_RUN.
  [[nodiscard]] int program_fd() const;
  [[nodiscard]] int out_program_fd() const;

 private:
  struct Links {
    int index = 0;
    Fd xdp;
  };

  explicit EdgeTables(EdgeTablesOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Result<void> load();
  [[nodiscard]] std::string pin_of(std::string_view name) const;
  [[nodiscard]] std::vector<bpf_map*> kept_maps() const;
  [[nodiscard]] TcPrograms out_programs() const { return {TcUser::kEdge, -1, out_program_fd()}; }
  [[nodiscard]] std::string out_pins_of(int interface) const;
  // Notes in `out` how.
  [[nodiscard]] Result<Fd> attach_xdp(int index, XdpMode mode, EdgeAttachment& out);
  void remove_pins();

  EdgeTablesOptions options_;
  edge_bpf* skeleton_ = nullptr;
  std::map<std::string, Links> links_;  // by interface
  bool adopted_ = false;
};

}  // namespace cortexflow::kernel
