// SPDX-License-Identifier: Apache-2.0
// The interfaces that the edge's program is on, and what their packets need beside it, looked at again and again:
// interfaces come and go, and somebody may switch forwarding, or GRO at a veth's other end, while the agent runs.
//
// Each interface sends to all others.  So mode auto runs the program in the drivers only if all of them take what is
// sent like that; otherwise it runs on all in the generic way, until the agent starts again: going back would leave the
// packets of a moment to the stack.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/kernel/edge_tables.h"
#include "agent/source/settings.h"

namespace cortexflow {

class EdgeInterfaces {
 public:
  using Clock = std::chrono::steady_clock;

  explicit EdgeInterfaces(const source::EdgeSettings& settings);

  // Those that are meant now: `auto` are the ones with a default route, names may have the shell's wildcards.  In the
  // settings' order.  While there is no default route, or the kernel can't be asked, they are who they were.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  // True if they are others than before.
  [[nodiscard]] bool find();

  // Attaches what is not, and detaches what is not meant any more.  `v4`, `v6`: there are frontends of that family.
  void check(kernel::EdgeTables& tables, bool v4, bool v6);
  // Those of attaching, said once each.
  [[nodiscard]] std::vector<Error> take_errors();

  [[nodiscard]] std::string hook() const;                   // those that have it, and how; empty: none
  [[nodiscard]] std::vector<std::string> failures() const;  // those that haven't, and why
  // What works less well than it could, and what to do about it.
  [[nodiscard]] const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  struct Attached {
    kernel::EdgeAttachment how;
    std::string failure;  // empty: it is attached
  };

  void attach(kernel::EdgeTables& tables, const std::string& interface);
  void judge_drivers(kernel::EdgeTables& tables);
  void find_routed();
  void note_forwarding(const std::string& interface, const std::string& family);

  std::vector<std::string> wanted_;  // as set
  std::vector<std::string> names_;
  std::vector<std::string> routed_;  // those of `auto`, as last known
  std::string unrouted_;             // why these are no newer
  std::size_t present_ = 0;          // interfaces, when they were last looked at
  Clock::time_point next_routes_{};
  std::vector<std::string> unmatched_;  // remarks on what stands for no interface now
  bool looked_ = false;
  kernel::XdpMode mode_;
  std::map<std::string, Attached> interfaces_;
  std::vector<std::string> drivers_;  // remarks on who doesn't take what is sent natively
  std::vector<std::string> remarks_;
  std::vector<Error> errors_;
};

}  // namespace cortexflow
