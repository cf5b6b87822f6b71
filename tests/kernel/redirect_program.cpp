// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/redirect_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <stdexcept>

#include "redirect.skel.h"

namespace cortexflow::test {
namespace {

constexpr std::uint32_t kChecksumComplete = 1U << 2;  // BPF_F_TEST_SKB_CHECKSUM_COMPLETE

bpf_test_run_opts run_of(const Bytes& frame) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.repeat = 1;
  return options;
}

}  // namespace

RedirectProgram::RedirectProgram() {
  auto opened = kernel::ServiceTables::open({cgroup_.path(), cgroup_.pins(), false});
  if (!opened) throw std::runtime_error(opened.error().to_string());
  tables_ = std::move(*opened);
  skeleton_ = redirect_bpf__open();
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (const int fd = tables_->fd(bpf_map__name(map)); fd >= 0) bpf_map__reuse_fd(map, fd);
  }
  if (redirect_bpf__load(skeleton_) != 0) throw std::runtime_error("the kernel refused the redirect programs");
  const Bytes frame(64, 0);
  auto options = run_of(frame);
  options.flags = kChecksumComplete;
  if (bpf_prog_test_run_opts(fd(Side::kFromWorkload), &options) == 0) flags_ = kChecksumComplete;
}

RedirectProgram::~RedirectProgram() { redirect_bpf__destroy(skeleton_); }

int RedirectProgram::fd(Side side) const {
  return bpf_program__fd(side == Side::kFromWorkload ? skeleton_->progs.redirect_from_workload
                                                     : skeleton_->progs.redirect_to_workload);
}

std::vector<std::uint64_t> RedirectProgram::verdicts() const {
  std::vector<std::uint64_t> sums(CF_REDIRECT_V_MAX);
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (__u32 verdict = 0; verdict < CF_REDIRECT_V_MAX; ++verdict) {
    bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.redirect_verdicts), &verdict, per_cpu.data());
    for (const auto value : per_cpu) sums[verdict] += value;
  }
  return sums;
}

Redirected RedirectProgram::run(const Bytes& frame, Side side) {
  Bytes out(70000);
  auto options = run_of(frame);
  options.data_out = out.data();
  options.data_size_out = static_cast<__u32>(out.size());
  options.flags = flags_;
  Redirected outcome;
  auto before = verdicts();
  int error = bpf_prog_test_run_opts(fd(side), &options);
  if (error == -EBADMSG) {
    outcome.sum_holds = false;
    options.flags = 0;
    options.data_size_out = static_cast<__u32>(out.size());
    before = verdicts();
    error = bpf_prog_test_run_opts(fd(side), &options);
  }
  if (error != 0) throw std::runtime_error(std::string("BPF_PROG_TEST_RUN: ") + strerror(-error));
  const auto after = verdicts();
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    counted += after[i] - before[i];
    if (after[i] != before[i]) outcome.verdict = static_cast<cf_redirect_verdict>(i);
  }
  if (counted != 1) throw std::runtime_error("a packet had " + std::to_string(counted) + " verdicts");
  outcome.action = static_cast<int>(options.retval);
  out.resize(options.data_size_out);
  outcome.frame = std::move(out);
  return outcome;
}

std::uint32_t RedirectProgram::time(const Bytes& frame, Side side, int repeat) {
  auto options = run_of(frame);
  options.repeat = repeat;
  if (bpf_prog_test_run_opts(fd(side), &options) != 0) throw std::runtime_error("BPF_PROG_TEST_RUN");
  return options.duration;
}

void RedirectProgram::expire(std::chrono::seconds later) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch() + later;
  const int live = bpf_map__fd(skeleton_->maps.redirect_live);
  std::vector<cf_redirect_flow> keys;
  cf_redirect_flow key{};
  for (const void* at = nullptr; bpf_map_get_next_key(live, at, &key) == 0; at = &keys.back()) keys.push_back(key);
  for (const auto& flow : keys) {
    const cf_redirect_expiry expiry{flow, static_cast<__u32>(now.count() >> 30)};
    Bytes frame(14 + sizeof expiry);
    std::memcpy(frame.data() + 14, &expiry, sizeof expiry);
    auto options = run_of(frame);
    if (bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.redirect_expire), &options) != 0) {
      throw std::runtime_error("redirect_expire");
    }
  }
}

void RedirectProgram::forget_flows() {
  const int map = bpf_map__fd(skeleton_->maps.redirect_flows);
  cf_redirect_flow key{};
  while (bpf_map_get_next_key(map, nullptr, &key) == 0) bpf_map_delete_elem(map, &key);
}

std::uint64_t RedirectProgram::active() const {
  std::uint64_t sum = 0;
  for (const auto& [key, value] : tables_->read("svc_load")) {
    cf_service_load load{};
    std::memcpy(&load, value.data(), sizeof load);
    sum += load.active;
  }
  for (const auto& [key, value] : tables_->read("svc_load_be")) {
    cf_backend_load load{};
    std::memcpy(&load, value.data(), sizeof load);
    sum += load.active << 32;
  }
  return sum;
}

std::size_t RedirectProgram::flows() const {
  std::size_t entries = 0;
  const int map = bpf_map__fd(skeleton_->maps.redirect_flows);
  cf_redirect_flow key{}, next{};
  for (const void* at = nullptr; bpf_map_get_next_key(map, at, &next) == 0; at = &key, ++entries) key = next;
  return entries;
}

void RedirectProgram::write(const std::vector<compile::Operation>& operations) {
  for (const auto& operation : operations) {
    const auto* map = compile::map_name(operation.map);
    const auto done =
        operation.erase ? tables_->erase(map, operation.key) : tables_->put(map, operation.key, operation.value);
    if (!done) throw std::runtime_error(done.error().to_string());
  }
}

}  // namespace cortexflow::test
