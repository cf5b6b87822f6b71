// SPDX-License-Identifier: Apache-2.0
// Nanoseconds a packet of the edge, by BPF_PROG_TEST_RUN: each sample stands between samples of the wrapper alone
// (`floor`) and of an empty program, so that the machine's moods fall on all of them.  Needs root.
//
//   edge_bench [ROUNDS REPEAT]
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <vector>

#include "agent/compile/deny_plan.h"
#include "agent/compile/edge_book.h"
#include "edge_bench.skel.h"
#include "tests/kernel/frames.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

int rounds = 15, repeat = 200000;  // of the command line
const Peer kClient{"198.51.0.0", 40000}, kFront{"203.0.113.1", 80};
const Peer kClient6{"2001:db8::", 40000}, kFront6{"2001:db8:1::1", 80};

model::IpAddress ip(const std::string& text) {
  model::IpAddress out;
  if (inet_pton(AF_INET6, (text.find(':') == std::string::npos ? "::ffff:" + text : text).c_str(), out.octets.data()) !=
      1) {
    throw std::runtime_error(text);
  }
  return out;
}

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

void put(const bpf_map* map, const void* key, const void* value) {
  must(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) == 0, bpf_map__name(map));
}

struct Sample {
  std::uint32_t least = UINT32_MAX, median = 0;
};

Sample of(std::vector<std::uint32_t> times) {
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

class Bench {
 public:
  explicit Bench(cf_edge_mode mode) : skeleton_(edge_bench_bpf__open()) {
    must(skeleton_ != nullptr, "open");
    bpf_map__set_max_entries(skeleton_->maps.edge_pins, 1 << 20);
    bpf_map__set_max_entries(skeleton_->maps.edge_nat, 1 << 20);
    must(edge_bench_bpf__load(skeleton_) == 0, "load");
    cf_edge_settings settings{};
    const auto own4 = ip("10.1.0.254"), own6 = ip("fd01::fe");
    std::copy(own4.octets.begin(), own4.octets.end(), settings.address4);
    std::copy(own6.octets.begin(), own6.octets.end(), settings.address6);
    settings.nat_port_min = 32768;
    settings.nat_port_max = 65535;
    settings.mtu = 1500;
    settings_ = settings;
    for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
      for (const auto* front : {&kFront, &kFront6}) {
        const bool v6 = front == &kFront6;
        compile::EdgePlan plan;
        plan.service = {"bench", fmt::format("{}{}", front->address, static_cast<int>(protocol))};
        plan.protocol = protocol;
        plan.frontends.emplace_back(ip(front->address), front->port);
        plan.mode = mode;
        for (int i = 0; i < 50; ++i) {
          plan.backends.push_back(
              {{ip(v6 ? fmt::format("fd01::{:x}", 10 + i) : fmt::format("10.1.0.{}", 10 + i)), 8080}});
        }
        plans_.push_back(plan);
        write(book_.update({{plan.service, {plan}}}));
      }
    }
    set();
  }
  ~Bench() { edge_bench_bpf__destroy(skeleton_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void deny(int prefixes) {
    std::vector<compile::DenyRule> rules;
    for (int i = 0; i < prefixes; ++i) rules.push_back({ip(fmt::format("100.{}.{}.0", i >> 8 & 255, i & 255)), 24});
    rules.push_back({ip("198.51.0.0"), 16});
    const auto entries = compile::deny_entries(rules);
    for (const auto& [key, value] : entries) put(skeleton_->maps.edge_deny, key.data(), value.data());
    settings_.flags |= compile::deny_flags(entries);
    set();
  }

  // One backend leaves: its slots and a few others move, and are settled where `over`.
  void move(bool over) {
    for (auto& plan : plans_) {
      plan.backends.erase(plan.backends.begin() + 7);
      write(book_.update({{plan.service, {plan}}}));
      if (over) write(book_.settle(plan.service));
    }
  }

  // Every slot asks the pins, as after many moves.
  void ask_always() {
    for (const auto& [key, entry] : book_.entries()) {
      auto slots = entry.slots;
      for (auto& slot : slots) slot.before = slot.now;
      write_table(entry.table, slots.data());
    }
  }

  struct Asked {
    const char* sentence;
    Bytes frame;
    std::uint32_t flows;  // a power of two; 0: a new one each time
    cf_edge_counter verdict;
    bool warm;  // every flow once, before it is timed
  };

  // `warm` flows have had a handshake where they are translated.
  void measure(const Asked& asked) {
    std::vector<std::uint32_t> edge, floor, empty;
    const std::uint32_t mask = asked.flows ? asked.flows - 1 : UINT32_MAX;
    auto& bss = *skeleton_->bss;
    bss.bench_flow_mask = mask;
    bss.bench_frame = static_cast<__u32>(asked.frame.size());
    if (asked.warm) {
      bss.bench_next = 0;
      run(skeleton_->progs.bench_edge, asked.frame, static_cast<int>(std::max(asked.flows, 1000U)));
    }
    std::uint32_t fresh = 0;
    for (int round = 0; round < rounds; ++round) {
      empty.push_back(run(skeleton_->progs.bench_empty, asked.frame, repeat));
      bss.bench_next = fresh;
      floor.push_back(run(skeleton_->progs.bench_floor, asked.frame, repeat));
      bss.bench_next = fresh;
      const auto before = counters();
      edge.push_back(run(skeleton_->progs.bench_edge, asked.frame, repeat));
      const auto after = counters();
      if (after[asked.verdict] - before[asked.verdict] != static_cast<std::uint64_t>(repeat)) {
        std::string verdicts;
        for (std::size_t i = 0; i < CF_EDGE_C_MAX; ++i) {
          if (after[i] != before[i]) verdicts += fmt::format(" {}:{}", i, after[i] - before[i]);
        }
        throw std::runtime_error(
            fmt::format("{}: not verdict {} but{}", asked.sentence, static_cast<int>(asked.verdict), verdicts));
      }
      fresh = bss.bench_next;
    }
    const auto e = of(edge), f = of(floor), n = of(empty);
    fmt::print("{:<44} {:>5} / {:<5} {:>4} / {:<4} {:>4} / {:<4} {:>5.2f}\n", asked.sentence, e.least, e.median,
               f.least, f.median, n.least, n.median, static_cast<double>(e.median) / n.median);
    std::fflush(stdout);
  }

  // What one clock read costs on this machine, to compare it with others.
  void calibrate(const Bytes& frame) {
    std::vector<std::uint32_t> clock, empty;
    for (int round = 0; round < rounds; ++round) {
      empty.push_back(run(skeleton_->progs.bench_empty, frame, repeat));
      clock.push_back(run(skeleton_->progs.bench_clock, frame, repeat));
    }
    fmt::print("{:<44} {:>5} / {:<5}             {:>4} / {:<4}\n", "bpf_ktime_get_ns() alone", of(clock).least,
               of(clock).median, of(empty).least, of(empty).median);
  }

  // Pins or translations of `flows` flows as `measure` will ask for them.
  void establish(const Bytes& frame, std::uint32_t flows, bool translated) {
    const bool v6 = frame[14] >> 4 == 6;
    const auto& entry = book_.entries().begin()->second;
    for (std::uint32_t i = 0; i < flows; ++i) {
      const std::uint32_t number = i;
      cf_edge_flow key{};
      const std::size_t size = v6 ? 16 : 4, source = 14 + (v6 ? 8 : 12);
      const auto l4 = static_cast<std::size_t>(14 + (v6 ? 40 : 20));
      if (!v6) key.source[10] = key.source[11] = key.dest[10] = key.dest[11] = 0xff;
      std::memcpy(key.source + 16 - size, &frame[source], size);
      std::memcpy(key.dest + 16 - size, &frame[source + size], size);
      const auto high = static_cast<std::uint16_t>(number >> 16), low = static_cast<std::uint16_t>(number);
      const std::size_t at = v6 ? 10 : 12;  // as bench_edge does, in the machine's own order
      for (const auto& [where, what] : {std::pair{at, high}, std::pair{at + 2, low}}) {
        std::uint16_t word = 0;
        std::memcpy(&word, key.source + where, 2);
        word ^= what;
        std::memcpy(key.source + where, &word, 2);
      }
      key.source_port = static_cast<__u16>(frame[l4] << 8 | frame[l4 + 1]);
      key.dest_port = static_cast<__u16>(frame[l4 + 2] << 8 | frame[l4 + 3]);
      key.protocol = v6 ? frame[20] : frame[23];
      const auto* wanted = &entry;
      for (const auto& [name, one] : book_.entries()) {
        if (static_cast<__u8>(one.plan.protocol) == key.protocol && one.frontends.front().address.is_v4() == !v6) {
          wanted = &one;
        }
      }
      const __u32 backend = wanted->numbers.begin()->second;
      cf_edge_backend value{};
      must(bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.edge_backends), &backend, &value) == 0, "backend");
      if (translated) {
        cf_edge_nat nat{};
        std::memcpy(nat.source, v6 ? settings_.address6 : settings_.address4, 16);
        std::memcpy(nat.dest, value.address, 16);
        nat.source_port = static_cast<__u16>(32768 + i % 32768);
        nat.dest_port = value.port;
        nat.id = value.id;
        nat.backend = static_cast<__u16>(backend);
        put(skeleton_->maps.edge_nat, &key, &nat);
      } else {
        cf_edge_pin pin{};
        pin.id = value.id;
        pin.backend = static_cast<__u16>(backend);
        put(skeleton_->maps.edge_pins, &key, &pin);
      }
    }
  }

 private:
  void set() {
    const __u32 zero = 0;
    put(skeleton_->maps.edge_settings, &zero, &settings_);
  }
  void write(const std::vector<compile::EdgeOperation>& operations) {
    for (const auto& one : operations) {
      if (one.map == compile::EdgeMap::kTables) {
        __u32 number = 0;
        std::memcpy(&number, one.key.data(), sizeof number);
        write_table(number, one.value.data());
      } else {
        put(one.map == compile::EdgeMap::kBackends ? skeleton_->maps.edge_backends : skeleton_->maps.edge_frontends,
            one.key.data(), one.value.data());
      }
    }
  }
  void write_table(__u32 number, const void* slots) {
    const int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "edge_table", 4, sizeof(cf_edge_table), 1, nullptr);
    const __u32 zero = 0;
    must(inner >= 0 && bpf_map_update_elem(inner, &zero, slots, BPF_ANY) == 0, "edge_table");
    put(skeleton_->maps.edge_tables, &number, &inner);
    close(inner);
  }
  std::uint32_t run(const bpf_program* program, const Bytes& frame, int times) {
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = frame.data();
    options.data_size_in = static_cast<__u32>(frame.size());
    options.repeat = times;
    must(bpf_prog_test_run_opts(bpf_program__fd(program), &options) == 0, "BPF_PROG_TEST_RUN");
    if (options.retval == XDP_ABORTED) throw std::runtime_error("the wrapper gave up");
    return options.duration;
  }
  std::vector<std::uint64_t> counters() {
    std::vector<std::uint64_t> sums(CF_EDGE_C_MAX), per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    for (__u32 i = 0; i < CF_EDGE_C_MAX; ++i) {
      bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.edge_counters), &i, per_cpu.data());
      for (const auto value : per_cpu) sums[i] += value;
    }
    return sums;
  }

  edge_bench_bpf* skeleton_;
  compile::EdgeBook book_;
  std::vector<compile::EdgePlan> plans_;
  cf_edge_settings settings_{};
};

void own_netns() {
  must(unshare(CLONE_NEWNET) == 0, "unshare");
  const char* commands =
      "set -e; ip link set lo up; ip link add way0 type veth peer name way1; ip link set way1 up; "
      "ip address add 10.1.0.254/24 dev way0; ip address add fd01::fe/64 dev way0 nodad; ip link set way0 up; "
      "i=1; while [ $i -lt 100 ]; do m=02:00:00:00:01:$(printf %02x $i); "
      "echo neigh add 10.1.0.$i lladdr $m dev way0 nud permanent; "
      "echo neigh add fd01::$(printf %x $i) lladdr $m dev way0 nud permanent; i=$((i+1)); done | ip -batch -";
  must(std::system(commands) == 0, "ip");
  for (const char* path : {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
    must(static_cast<bool>(std::ofstream(path) << 1 << std::flush), path);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 3) {
    rounds = std::max(1, std::atoi(argv[1]));
    repeat = std::max(1, std::atoi(argv[2]));
  }
  own_netns();
  const Bytes data(60, 'x');
  const auto ack = tcp_frame(kClient, kFront, {}, data), syn = tcp_frame(kClient, kFront, {kSyn}, data);
  const auto udp = udp_frame(kClient, kFront, data), ack6 = tcp_frame(kClient6, kFront6, {}, data);
  fmt::print("ns a packet, least / median of {} times {}\n{:<44} {:>13} {:>11} {:>11} {:>5}\n", rounds, repeat, "",
             "edge", "wrapper", "empty", "ratio");
  {
    Bench bench(CF_EDGE_IPIP);
    bench.calibrate(ack);
    bench.measure({"not ours", tcp_frame(kClient, {kFront.address, 81}, {}, data), 1, CF_EDGE_V_NOT_OURS, true});
    bench.measure({"IPIP, TCP known flow", ack, 1, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"IPIP, TCP 16k flows", ack, 1 << 14, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"IPIP, TCP 524k flows", ack, 1 << 19, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"IPIP, UDP known flow", udp, 1, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"IPIP, new flows, SYN", syn, 0, CF_EDGE_V_TUNNELLED, false});
    bench.measure({"IPIP, new flows, ACK", ack, 0, CF_EDGE_V_TUNNELLED, false});
    bench.measure({"IPIP, TCP over IPv6, known flow", ack6, 1, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"IPIP, TCP over IPv6, 524k flows", ack6, 1 << 19, CF_EDGE_V_TUNNELLED, true});
    bench.move(false);
    bench.measure({"one of 50 has just left: TCP 524k flows", ack, 1 << 19, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"one of 50 has just left: new flows, SYN", syn, 0, CF_EDGE_V_TUNNELLED, false});
    bench.measure({"one of 50 has just left: new flows, ACK", ack, 0, CF_EDGE_V_TUNNELLED, false});
    bench.deny(0);
    bench.measure({"denied, one prefix", syn, 1 << 16, CF_EDGE_V_DENIED, false});
    bench.deny(60000);
    bench.measure({"denied, 60,001 prefixes", syn, 1 << 16, CF_EDGE_V_DENIED, false});
    bench.measure({"IPv6 let pass by 60,001 prefixes", ack6, 1, CF_EDGE_V_TUNNELLED, true});
  }
  {
    Bench bench(CF_EDGE_IPIP);
    bench.ask_always();
    bench.establish(ack, 1 << 19, false);
    bench.measure({"IPIP, every slot pinned: TCP known flow", ack, 1, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"IPIP, every slot pinned: TCP 16k flows", ack, 1 << 14, CF_EDGE_V_TUNNELLED, true});
    bench.measure({"IPIP, every slot pinned: TCP 524k flows", ack, 1 << 19, CF_EDGE_V_TUNNELLED, true});
  }
  {
    Bench bench(CF_EDGE_NAT);
    bench.establish(ack, 1 << 19, true);
    bench.establish(udp, 1, true);
    bench.establish(ack6, 1, true);
    bench.measure({"NAT, TCP known flow", ack, 1, CF_EDGE_V_TRANSLATED, true});
    bench.measure({"NAT, TCP 16k flows", ack, 1 << 14, CF_EDGE_V_TRANSLATED, true});
    bench.measure({"NAT, TCP 524k flows", ack, 1 << 19, CF_EDGE_V_TRANSLATED, true});
    bench.measure({"NAT, UDP known flow", udp, 1, CF_EDGE_V_TRANSLATED, true});
    bench.measure({"NAT, TCP over IPv6, known flow", ack6, 1, CF_EDGE_V_TRANSLATED, true});
    bench.measure({"NAT, new flows, SYN", syn, 0, CF_EDGE_V_TRANSLATED, false});
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "edge_bench: {}\n", error.what());
  return 1;
}
