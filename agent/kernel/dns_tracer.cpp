// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/dns_tracer.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>

#include "dns.skel.h"

namespace cortexflow::kernel {
namespace {

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

int on_ring_record(void* context, void* data, std::size_t size) {
  (*static_cast<DnsTracer::RecordHandler*>(context))({static_cast<const std::byte*>(data), size});
  return 0;
}

cf_dns_lookup timed_out(const cf_dns_key& key, const cf_dns_query& query, std::uint64_t now) {
  cf_dns_lookup lookup{};
  lookup.head = {CF_EVENT_DNS_LOOKUP, CF_DNS_LOOKUP_VERSION, sizeof lookup};
  lookup.end_ns = now;
  lookup.key = key;
  lookup.outcome = CF_DNS_TIMED_OUT;
  lookup.has_query = 1;
  lookup.query = query;
  return lookup;
}

}  // namespace

Result<std::unique_ptr<DnsTracer>> DnsTracer::open(const DnsTracerOptions& options, RecordHandler on_record) {
  std::unique_ptr<DnsTracer> tracer(new DnsTracer(options, std::move(on_record)));
  if (auto attached = tracer->attach(); !attached) return tl::make_unexpected(std::move(attached.error()));
  if (auto pinned = tracer->pin(); !pinned) return tl::make_unexpected(std::move(pinned.error()));
  return tracer;
}

Result<void> DnsTracer::try_load() {
  dns_bpf* skeleton = dns_bpf__open();
  if (!skeleton) return fail_errno("cannot open the DNS programs", errno);
  const int error = dns_bpf__load(skeleton);
  dns_bpf__destroy(skeleton);
  if (error != 0) return fail_errno("the kernel refused the DNS programs", -error);
  return {};
}

DnsTracer::DnsTracer(const DnsTracerOptions& options, RecordHandler on_record)
    : options_(options), on_record_(std::move(on_record)) {}

DnsTracer::~DnsTracer() {
  unpin();
  ring_buffer__free(ring_);
  dns_bpf__destroy(skeleton_);
}

Result<void> DnsTracer::attach() {
  cgroup_ = Fd(::open(options_.cgroup_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup_) return fail_errno(fmt::format("cannot open cgroup root {}", options_.cgroup_root), errno);
  skeleton_ = dns_bpf__open();
  if (!skeleton_) return fail_errno("cannot open the DNS programs", errno);
  if (const int error = dns_bpf__load(skeleton_); error != 0) {
    return fail_errno("the kernel refused the DNS programs", -error,
                      "run with --log-level debug for the verifier's words");
  }
  if (auto set = set_ports(options_.ports); !set) return set;
  owner_ = std::make_unique<DnsOwner>(cgroup_.get(), bpf_map__fd(skeleton_->maps.dns_settings),
                                      bpf_map__fd(skeleton_->maps.dns_owners));
  ring_ = ring_buffer__new(bpf_map__fd(skeleton_->maps.dns_events), on_ring_record, &on_record_, nullptr);
  if (!ring_) return fail_errno("cannot read the ring buffer dns_events", errno);
  // Answers first: a query that is seen must not lose its answer to the moment between the two.
  skeleton_->links.dns_ingress = bpf_program__attach_cgroup(skeleton_->progs.dns_ingress, cgroup_.get());
  if (!skeleton_->links.dns_ingress)
    return fail_errno(fmt::format("cannot attach dns_ingress to {}", options_.cgroup_root), errno);
  skeleton_->links.dns_egress = bpf_program__attach_cgroup(skeleton_->progs.dns_egress, cgroup_.get());
  if (!skeleton_->links.dns_egress)
    return fail_errno(fmt::format("cannot attach dns_egress to {}", options_.cgroup_root), errno);
  return {};
}

Result<void> DnsTracer::pin() {
  const auto pin_at = [this](const char* name, auto&& pin_to) -> Result<void> {
    const std::string path = options_.pin_path + "/" + name;
    std::error_code ignored;
    std::filesystem::remove(path, ignored);  // of an agent that was killed; a living one holds the control socket
    if (const int error = pin_to(path.c_str()); error != 0)
      return fail_errno(fmt::format("cannot pin {}", path), -error);
    pins_.push_back(path);
    return {};
  };
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (bpf_map__is_internal(map)) continue;
    auto pinned = pin_at(bpf_map__name(map), [map](const char* path) { return bpf_map__pin(map, path); });
    if (!pinned) return pinned;
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    auto pinned =
        pin_at(bpf_program__name(program), [program](const char* path) { return bpf_program__pin(program, path); });
    if (!pinned) return pinned;
  }
  return {};
}

void DnsTracer::unpin() {
  std::error_code ignored;
  for (const auto& path : pins_) std::filesystem::remove(path, ignored);
}

Result<void> DnsTracer::set_ports(const std::vector<std::uint16_t>& ports) {
  cf_dns_settings settings{};
  if (ports.empty() || ports.size() > std::size(settings.ports)) {
    return fail("{} DNS ports given; from 1 to {} can be watched", ports.size(), std::size(settings.ports));
  }
  for (std::size_t i = 0; i < ports.size(); ++i) settings.ports[i] = htons(ports[i]);
  const __u32 zero = 0;
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.dns_settings), &zero, &settings, BPF_ANY) != 0) {
    return fail_errno("cannot write dns_settings", errno);
  }
  return {};
}

Result<void> DnsTracer::check_attached() const {
  for (const bpf_link* link : {skeleton_->links.dns_ingress, skeleton_->links.dns_egress}) {
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &size) == 0 && info.cgroup.cgroup_id != 0) continue;
    return tl::make_unexpected(
        Error{fmt::format("cgroup {} was removed: nothing is seen any more", options_.cgroup_root),
              "start the agent again when it is there, or with another --cgroup-root"});
  }
  return {};
}

int DnsTracer::ring_fd() const { return ring_buffer__epoll_fd(ring_); }

void DnsTracer::detach() {
  for (bpf_link** link : {&skeleton_->links.dns_egress, &skeleton_->links.dns_ingress}) {
    bpf_link__destroy(*link);
    *link = nullptr;
  }
  // Waits for the kernel's RCU readers: programs that were in the middle of a packet are then done with it.
  syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

void DnsTracer::consume() { ring_buffer__consume(ring_); }

std::vector<cf_dns_lookup> DnsTracer::take_timed_out(std::chrono::nanoseconds limit) {
  const int pending = bpf_map__fd(skeleton_->maps.dns_pending);
  const int recent = bpf_map__fd(skeleton_->maps.dns_recent);
  const std::uint64_t now = monotonic_ns();
  const auto limit_ns = static_cast<std::uint64_t>(limit.count());
  std::vector<cf_dns_lookup> out;
  std::vector<cf_dns_key> old;
  cf_dns_key key{};
  cf_dns_query query{};
  const cf_dns_key* previous = nullptr;
  cf_dns_key next{};
  // First the keys: a walk that deletes under itself starts again.
  for (std::size_t steps = 0; steps < CF_DNS_PENDING_MAX && bpf_map_get_next_key(pending, previous, &next) == 0;
       ++steps) {
    key = next;
    previous = &key;
    if (bpf_map_lookup_elem(pending, &key, &query) != 0 || query.first_ns == 0) continue;
    if (now > query.last_ns && now - query.last_ns >= limit_ns) old.push_back(key);
  }
  for (const auto& expired : old) {
    if (bpf_map_lookup_elem(pending, &expired, &query) != 0) continue;
    const __u64 fingerprint = cf_dns_fingerprint(&expired);
    const __u32 index = cf_dns_recent_index(fingerprint);
    const __u64 ended = fingerprint | 1;
    // Remembered before it is taken out, so that an answer finds one or the other.
    bpf_map_update_elem(recent, &index, &ended, BPF_ANY);
    if (bpf_map_delete_elem(pending, &expired) == 0) out.push_back(timed_out(expired, query, now));
  }
  return out;
}

std::array<std::uint64_t, CF_DNS_C_MAX> DnsTracer::counters() const {
  std::array<std::uint64_t, CF_DNS_C_MAX> sums{};
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (__u32 counter = 0; counter < CF_DNS_C_MAX; ++counter) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.dns_counters), &counter, per_cpu.data()) != 0) continue;
    for (const auto value : per_cpu) sums[counter] += value;
  }
  return sums;
}

std::vector<MapInfo> DnsTracer::maps() const {
  std::vector<MapInfo> out;
  for (const bpf_map* map : {skeleton_->maps.dns_pending, skeleton_->maps.dns_owners, skeleton_->maps.dns_streams}) {
    const std::uint64_t max = bpf_map__max_entries(map);
    out.push_back({bpf_map__name(map), count_entries(bpf_map__fd(map), bpf_map__key_size(map), max), max});
  }
  const ring* events = ring_buffer__ring(ring_, 0);
  out.push_back({"dns_events", ring__avail_data_size(events), ring__size(events)});
  return out;
}

std::vector<ProgramInfo> DnsTracer::programs() const {
  std::vector<ProgramInfo> out;
  for (const bpf_program* program : {skeleton_->progs.dns_egress, skeleton_->progs.dns_ingress}) {
    auto info = describe_program(bpf_program__fd(program));
    info.attached_to = options_.cgroup_root;
    info.pin = options_.pin_path + "/" + bpf_program__name(program);
    out.push_back(std::move(info));
  }
  for (auto& info : owner_->programs()) out.push_back(std::move(info));
  return out;
}

}  // namespace cortexflow::kernel
