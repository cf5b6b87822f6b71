// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/dns_programs.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "dns.skel.h"

namespace cortexflow::test {
namespace {

constexpr std::size_t kEthernet = 14;  // BPF_PROG_TEST_RUN wants one, and takes it off again

int keep_record(void* context, void* data, std::size_t size) {
  cf_dns_lookup lookup{};
  std::memcpy(&lookup, data, std::min(size, sizeof lookup));
  static_cast<std::vector<cf_dns_lookup>*>(context)->push_back(lookup);
  return 0;
}

[[noreturn]] void give_up(const char* what) { throw std::runtime_error(std::string(what) + ": " + strerror(errno)); }

}  // namespace

DnsPrograms::DnsPrograms() : skeleton_(dns_bpf__open_and_load()) {
  if (!skeleton_) give_up("the kernel refused the DNS programs");
  cf_dns_settings settings{};
  settings.ports[0] = htons(53);
  const __u32 zero = 0;
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.dns_settings), &zero, &settings, BPF_ANY) != 0) {
    give_up("dns_settings");
  }
  ring_ = ring_buffer__new(bpf_map__fd(skeleton_->maps.dns_events), keep_record, &records_, nullptr);
  if (!ring_) give_up("dns_events");
}

DnsPrograms::~DnsPrograms() {
  ring_buffer__free(ring_);
  dns_bpf__destroy(skeleton_);
}

int DnsPrograms::run(const Bytes& packet, Direction direction, int repeat) {
  Bytes frame(kEthernet, 0);
  const bool v6 = !packet.empty() && packet[0] >> 4 == 6;
  frame[12] = v6 ? 0x86 : 0x08;
  frame[13] = v6 ? 0xdd : 0x00;
  frame = std::move(frame) + packet;
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.repeat = repeat;
  const auto* program = direction == Direction::kOut ? skeleton_->progs.dns_egress : skeleton_->progs.dns_ingress;
  if (bpf_prog_test_run_opts(bpf_program__fd(program), &options) != 0) give_up("BPF_PROG_TEST_RUN");
  return static_cast<int>(options.retval);
}

Counters DnsPrograms::counters() const {
  Counters counters;
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (__u32 counter = 0; counter < CF_DNS_C_MAX; ++counter) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.dns_counters), &counter, per_cpu.data()) != 0) {
      give_up("dns_counters");
    }
    std::uint64_t sum = 0;
    for (const auto value : per_cpu) sum += value;
    if (sum != 0) counters[static_cast<cf_dns_counter>(counter)] = sum;
  }
  return counters;
}

std::vector<cf_dns_lookup> DnsPrograms::records() {
  ring_buffer__consume(ring_);
  return std::exchange(records_, {});
}

std::vector<cf_dns_query> DnsPrograms::pending() const {
  std::vector<cf_dns_query> queries;
  const int fd = bpf_map__fd(skeleton_->maps.dns_pending);
  cf_dns_key key{}, next{};
  for (const void* at = nullptr; bpf_map_get_next_key(fd, at, &next) == 0; at = &key) {
    key = next;
    cf_dns_query query{};
    if (bpf_map_lookup_elem(fd, &key, &query) == 0) queries.push_back(query);
  }
  return queries;
}

void DnsPrograms::forget() {
  const std::vector<std::uint64_t> zeros(static_cast<std::size_t>(libbpf_num_possible_cpus()), 0);
  for (__u32 counter = 0; counter < CF_DNS_C_MAX; ++counter) {
    bpf_map_update_elem(bpf_map__fd(skeleton_->maps.dns_counters), &counter, zeros.data(), BPF_ANY);
  }
  const int fd = bpf_map__fd(skeleton_->maps.dns_pending);
  cf_dns_key key{};
  while (bpf_map_get_next_key(fd, nullptr, &key) == 0) bpf_map_delete_elem(fd, &key);
  records();
}

}  // namespace cortexflow::test
