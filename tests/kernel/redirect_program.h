// SPDX-License-Identifier: Apache-2.0
// The redirect programs over service tables of their own, attached to nothing: frames are run through them by
// BPF_PROG_TEST_RUN.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agent/compile/service_book.h"
#include "agent/kernel/service_tables.h"
#include "agent/kernel/tc_hook.h"
#include "bpf/abi/redirect.h"
#include "tests/kernel/frames.h"
#include "tests/kernel/own_cgroup.h"

struct redirect_bpf;

namespace cortexflow::test {

enum class Side { kFromWorkload, kToWorkload };

struct Redirected {
  int action = 0;
  cf_redirect_verdict verdict{};
  Bytes frame;
  bool sum_holds = true;  // the device's sum of the frame is still true
};

class RedirectProgram {
 public:
  static constexpr int kPass = -1, kDrop = 2, kSentBack = 7;  // TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT

  RedirectProgram();  // throws where the kernel refuses
  ~RedirectProgram();
  RedirectProgram(const RedirectProgram&) = delete;
  RedirectProgram& operator=(const RedirectProgram&) = delete;

  void serve(const compile::ServicePlan& plan) { write(book_.update({{plan.service, {plan}}})); }
  void remove(const compile::ServicePlan& plan) { write(book_.update({{plan.service, {}}})); }

  // One frame; throws unless exactly one verdict was counted.  Where the kernel has it (6.17), the frame comes with a
  // sum that a device made of it, and the kernel checks that this is still true.
  Redirected run(const Bytes& frame, Side side = Side::kFromWorkload);
  // The time that one run took of `repeat`, in nanoseconds.
  std::uint32_t time(const Bytes& frame, Side side, int repeat);

  // What the agent does with every live connection, at a time `later` than now.
  void expire(std::chrono::seconds later);
  void forget_flows();  // as a full table does

  // Live connections of all services.
  [[nodiscard]] std::uint64_t active() const;
  [[nodiscard]] std::size_t flows() const;
  [[nodiscard]] std::uint64_t count(cf_redirect_verdict verdict) const { return verdicts()[verdict]; }
  [[nodiscard]] kernel::TcPrograms hooks() const {
    return {kernel::TcUser::kRedirect, fd(Side::kFromWorkload), fd(Side::kToWorkload)};
  }
  [[nodiscard]] const std::string& pins() const { return cgroup_.pins(); }
  kernel::ServiceTables& tables() { return *tables_; }

 private:
  void write(const std::vector<compile::Operation>& operations);
  [[nodiscard]] int fd(Side side) const;
  [[nodiscard]] std::vector<std::uint64_t> verdicts() const;

  OwnCgroup cgroup_;
  std::unique_ptr<kernel::ServiceTables> tables_;
  compile::ServiceBook book_;
  redirect_bpf* skeleton_ = nullptr;
  std::uint32_t flags_ = 0;
};

}  // namespace cortexflow::test
