// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/edge_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <stdexcept>

#include "tests/kernel/sockets.h"

namespace cortexflow::test {
namespace {

template <typename Value>
std::string octets(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

void must(const Result<void>& done) {
  if (!done) throw std::runtime_error(done.error().to_string());
}

void write_to(const char* path, const char* text) {
  std::ofstream file(path);
  if (!(file << text << std::flush)) throw std::runtime_error(path);
}

}  // namespace

OwnNetns::OwnNetns() : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  if (!home_ || unshare(CLONE_NEWNET) != 0) throw std::runtime_error("unshare");
  const char* commands =
      "set -e; ip link set lo up; ip link add way0 address 02:00:00:00:0d:00 type veth peer name way1; ip link set "
      "way1 up; "
      "ip address add 10.1.0.254/24 dev way0; ip address add fd01::fe/64 dev way0 nodad; ip link set way0 up; "
      "i=1; while [ $i -lt 100 ]; do m=02:00:00:00:01:$(printf %02x $i); "
      "echo neigh add 10.1.0.$i lladdr $m dev way0 nud permanent; "
      "echo neigh add fd01::$(printf %x $i) lladdr $m dev way0 nud permanent; i=$((i+1)); done | ip -batch -; "
      "ip route add default via 10.1.0.1; ip -6 route add default via fd01::1";
  if (std::system(commands) != 0) throw std::runtime_error("ip");
  write_to("/proc/sys/net/ipv4/ip_forward", "1");
  write_to("/proc/sys/net/ipv6/conf/all/forwarding", "1");
}

OwnNetns::~OwnNetns() { setns(home_.get(), CLONE_NEWNET); }

EdgeProgram::EdgeProgram(const kernel::EdgeTablesOptions& options) {
  auto opened = kernel::EdgeTables::open(options);
  if (!opened) throw std::runtime_error(opened.error().to_string());
  tables_ = std::move(*opened);
  const auto own4 = ip("10.1.0.254"), own6 = ip("fd01::fe");
  std::copy(own4.octets.begin(), own4.octets.end(), settings.address4);
  std::copy(own6.octets.begin(), own6.octets.end(), settings.address6);
  settings.nat_port_min = 61000;
  settings.nat_port_max = 65535;
  settings.gue_port = 6080;
  settings.mtu = 1500;
  set(settings);
}

void EdgeProgram::set(const cf_edge_settings& to) {
  settings = to;
  must(tables_->put("edge_settings", octets(std::uint32_t{0}), octets(settings)));
}

void EdgeProgram::apply(const std::vector<compile::EdgeOperation>& operations) {
  for (const auto& operation : operations) {
    const auto* map = compile::map_name(operation.map);
    must(operation.erase ? tables_->erase(map, operation.key) : tables_->put(map, operation.key, operation.value));
  }
  settings.flags &= ~static_cast<std::uint32_t>(CF_EDGE_HAS_LOCAL);
  settings.flags |= book_.has_local() ? CF_EDGE_HAS_LOCAL : 0;
  set(settings);
}

void EdgeProgram::serve(const compile::EdgePlan& plan) { apply(book_.update({{plan.service, {plan}}})); }

void EdgeProgram::deny(const std::vector<compile::DenyRule>& rules) {
  for (const auto& key : denied_) must(tables_->erase("edge_deny", key));
  denied_.clear();
  const auto entries = compile::deny_entries(rules);
  for (const auto& [key, value] : entries) {
    must(tables_->put("edge_deny", key, value));
    denied_.push_back(key);
  }
  settings.flags = (settings.flags & CF_EDGE_HAS_LOCAL) | compile::deny_flags(entries);
  set(settings);
}

Outcome EdgeProgram::pass_through(int program, const Bytes& frame, std::uint64_t& verdicts) {
  Bytes out(4096);
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_out = out.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_size_out = static_cast<__u32>(out.size());
  options.repeat = 1;
  const auto before = tables_->counters();
  if (bpf_prog_test_run_opts(program, &options) != 0) throw std::runtime_error("BPF_PROG_TEST_RUN");
  const auto after = tables_->counters();
  Outcome outcome;
  outcome.verdict = CF_EDGE_VERDICTS;
  verdicts = 0;
  for (int i = 0; i < CF_EDGE_VERDICTS; ++i) {
    verdicts += after[static_cast<std::size_t>(i)] - before[static_cast<std::size_t>(i)];
    if (after[static_cast<std::size_t>(i)] != before[static_cast<std::size_t>(i)]) {
      outcome.verdict = static_cast<cf_edge_counter>(i);
    }
  }
  outcome.action = static_cast<int>(options.retval);
  out.resize(options.data_size_out);
  outcome.frame = std::move(out);
  return outcome;
}

Outcome EdgeProgram::run(const Bytes& frame) {
  std::uint64_t verdicts = 0;
  auto outcome = pass_through(tables_->program_fd(), frame, verdicts);
  if (verdicts != 1) throw std::runtime_error("a packet had " + std::to_string(verdicts) + " verdicts");
  return outcome;
}

Outcome EdgeProgram::leave(const Bytes& frame) {
  std::uint64_t verdicts = 0;
  auto outcome = pass_through(tables_->out_program_fd(), frame, verdicts);
  if (verdicts > 1) throw std::runtime_error("a packet had " + std::to_string(verdicts) + " verdicts");
  return outcome;
}

std::uint32_t EdgeProgram::time(const Bytes& frame, int repeat) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.repeat = repeat;
  if (bpf_prog_test_run_opts(tables_->program_fd(), &options) != 0) throw std::runtime_error("BPF_PROG_TEST_RUN");
  return options.duration;
}

}  // namespace cortexflow::test
