// SPDX-License-Identifier: Apache-2.0
// The edge's program with its tables, attached to nothing: frames are run through it by BPF_PROG_TEST_RUN, in a network
// namespace of its own with routes and neighbours.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/compile/deny_plan.h"
#include "agent/compile/edge_book.h"
#include "agent/kernel/edge_tables.h"
#include "tests/kernel/frames.h"

namespace cortexflow::test {

// This thread is in a network namespace of its own while it lives.  Its way out: way0, 10.1.0.254/24 and
// fd01::fe/64, MTU 1500, default routes; the neighbours 10.1.0.1 to .99 and fd01::1 to ::63 are known.
class OwnNetns {
 public:
  OwnNetns();
  ~OwnNetns();
  OwnNetns(const OwnNetns&) = delete;
  OwnNetns& operator=(const OwnNetns&) = delete;

 private:
  Fd home_;
};

struct Outcome {
  int action = 0;             // XDP_PASS..., of what leaves TC_ACT_UNSPEC...
  cf_edge_counter verdict{};  // CF_EDGE_VERDICTS: none
  Bytes frame;
};

class EdgeProgram {
 public:
  explicit EdgeProgram(const kernel::EdgeTablesOptions& options = {"", false, 16384, 4096, 16384, 4096});

  void serve(const compile::EdgePlan& plan);
  void apply(const std::vector<compile::EdgeOperation>& operations);
  void deny(const std::vector<compile::DenyRule>& rules);
  void set(const cf_edge_settings& settings);

  // One frame through the program; throws unless exactly one verdict was counted.
  Outcome run(const Bytes& frame);
  // One that leaves the node.
  Outcome leave(const Bytes& frame);
  // Without the accounting, `repeat` times; the time that one took, in nanoseconds, as the kernel has it.
  std::uint32_t time(const Bytes& frame, int repeat);

  [[nodiscard]] std::uint64_t count(cf_edge_counter counter) const { return tables_->counters()[counter]; }
  [[nodiscard]] std::size_t entries(const char* map) const { return tables_->read(map).size(); }
  kernel::EdgeTables& tables() { return *tables_; }
  compile::EdgeBook& book() { return book_; }
  cf_edge_settings settings{};

 private:
  Outcome pass_through(int program, const Bytes& frame, std::uint64_t& verdicts);

  OwnNetns netns_;
  std::unique_ptr<kernel::EdgeTables> tables_;
  compile::EdgeBook book_;
  std::vector<std::string> denied_;
};

}  // namespace cortexflow::test
