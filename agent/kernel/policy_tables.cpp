// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/policy_tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "agent/base/octets.h"
#include "agent/kernel/map_batches.h"
#include "agent/kernel/pinned_maps.h"
#include "policy.skel.h"

namespace cortexflow::kernel {
namespace {

bool is_connect(const bpf_program* program) {
  const auto type = bpf_program__expected_attach_type(program);
  return type == BPF_CGROUP_INET4_CONNECT || type == BPF_CGROUP_INET6_CONNECT;
}

}  // namespace

bool PolicyTables::is_pinned(const std::string& pin_path) {
  return Fd(bpf_obj_get((pin_path + "/policy_settings").c_str())) ? true : false;
}

Result<std::unique_ptr<PolicyTables>> PolicyTables::open(const PolicyTablesOptions& options) {
  std::unique_ptr<PolicyTables> tables(new PolicyTables(options));
  if (auto loaded = tables->load(); !loaded) return tl::make_unexpected(std::move(loaded.error()));
  return tables;
}

Result<bool> PolicyTables::close(const PolicyTablesOptions& options) {
  if (is_pinned(options.pin_path)) return false;
  struct stat own{};
  if (stat("/proc/self/ns/net", &own) != 0) return fail_errno("cannot tell the own network namespace", errno);
  auto tables = open(options);
  if (!tables) return tl::make_unexpected(std::move(tables.error()));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const cf_policy_boot boot{static_cast<__u64>(std::chrono::nanoseconds(now).count()), static_cast<__u32>(own.st_ino),
                            0};
  cf_policy_settings settings{};
  settings.flags = CF_POLICY_BOOT;
  settings.generation = 1;  // 0 is that of what was never judged
  const auto zero = octets_of(std::uint32_t{0});
  for (const auto& [map, value] :
       {std::pair{"policy_boot", octets_of(boot)}, {"policy_settings", octets_of(settings)}}) {
    if (auto put = (*tables)->put(map, zero, value); !put) return tl::make_unexpected(std::move(put.error()));
  }
  if (auto attached = (*tables)->attach(); !attached) return tl::make_unexpected(std::move(attached.error()));
  (*tables)->set_keep_on_exit(true);
  return true;
}

Result<void> PolicyTables::open_closed(const std::string& pin_path) {
  const Fd map(bpf_obj_get((pin_path + "/policy_settings").c_str()));
  const std::uint32_t zero = 0;
  cf_policy_settings settings{};
  if (!map || bpf_map_lookup_elem(map.get(), &zero, &settings) != 0 || !(settings.flags & CF_POLICY_BOOT)) return {};
  PolicyTables closed({"", pin_path, false});  // takes its pins along
  closed.skeleton_ = policy_bpf__open();
  if (!closed.skeleton_) return fail_errno("cannot open the policy programs", errno);
  return {};
}

Result<void> PolicyTables::try_load() {
  policy_bpf* skeleton = policy_bpf__open_and_load();
  if (!skeleton) return fail_errno("the kernel refused the policy programs", errno);
  policy_bpf__destroy(skeleton);
  return {};
}

PolicyTables::~PolicyTables() {
  if (!options_.keep_on_exit) remove_pins();
  links_.clear();
  connect_links_.clear();
  ring_buffer__free(ring_);
  policy_bpf__destroy(skeleton_);
}

std::string PolicyTables::pin_of(std::string_view name) const { return fmt::format("{}/{}", options_.pin_path, name); }

Result<void> PolicyTables::load() {
  cgroup_ = Fd(::open(options_.cgroup_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup_) return fail_errno(fmt::format("cannot open cgroup root {}", options_.cgroup_root), errno);
  skeleton_ = policy_bpf__open();
  if (!skeleton_) return fail_errno("cannot open the policy programs", errno);
  adopted_ = reuse_pinned_maps(maps_of(skeleton_->obj), options_.pin_path);
  if (!adopted_ && options_.sockets >= 0) {
    const int error = bpf_map__reuse_fd(skeleton_->maps.policy_sockets, options_.sockets);
    if (error != 0) return fail_errno("cannot share policy_sockets", -error);
  }
  if (const int error = policy_bpf__load(skeleton_); error != 0) {
    options_.keep_on_exit = true;  // what enforces now goes on
    return fail_errno("the kernel refused the policy programs", -error,
                      "run with --log-level debug for the verifier's words");
  }
  add(skeleton_->obj);
  return open_ring();
}

Result<void> PolicyTables::open_ring() {
  const auto keep = [](void* read, void* data, std::size_t size) {
    static_cast<std::vector<std::string>*>(read)->emplace_back(static_cast<const char*>(data), size);
    return 0;
  };
  ring_ = ring_buffer__new(bpf_map__fd(skeleton_->maps.policy_events), keep, &read_, nullptr);
  if (!ring_) return fail_errno("cannot read the ring buffer policy_events", errno);
  // What an agent before has read is not this one's; what it has not is.  The programs may be at work.
  constexpr std::size_t kInRing = (sizeof(cf_policy_event) + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
  for (int tries = 0; tries < 100; ++tries) {
    const auto now = counters();
    const auto waiting = ring().entries / kInRing;
    before_ = {now[CF_POLICY_C_TOLD] - waiting, now[CF_POLICY_C_LOST]};
    if (const auto then = counters(); then[CF_POLICY_C_TOLD] == now[CF_POLICY_C_TOLD]) break;
  }
  return {};
}

std::vector<std::string> PolicyTables::read_events() {
  ring_buffer__consume(ring_);
  return std::exchange(read_, {});
}

PolicyTables::EventCounts PolicyTables::event_counts() const {
  const auto now = counters();
  return {now[CF_POLICY_C_TOLD] - before_.told, now[CF_POLICY_C_LOST] - before_.lost};
}

MapInfo PolicyTables::ring() const {
  const auto* events = ring_buffer__ring(ring_, 0);
  return {"policy_events", ring__avail_data_size(events), ring__size(events)};
}

int PolicyTables::sockets() const { return bpf_map__fd(skeleton_->maps.policy_sockets); }

Result<void> PolicyTables::attach() {
  if (!links_.empty()) return {};
  if (!adopted_) {
    if (auto pinned = pin_maps(maps_of(skeleton_->obj), options_.pin_path); !pinned) return pinned;
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    if (is_connect(program)) continue;
    if (auto attached = attach(program, links_); !attached) return attached;
  }
  return {};
}

Result<void> PolicyTables::attach_connects() {
  if (!connect_links_.empty()) return {};
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    if (!is_connect(program)) continue;
    std::error_code ignored;
    std::filesystem::remove(pin_of(std::string(bpf_program__name(program)) + "_link"), ignored);
    if (auto attached = attach(program, connect_links_); !attached) return attached;
  }
  return {};
}

Result<void> PolicyTables::attach(bpf_program* program, std::vector<Link>& links) {
  const auto path = pin_of(std::string(bpf_program__name(program)) + "_link");
  Fd pinned(bpf_obj_get(path.c_str()));
  if (pinned && bpf_link_update(pinned.get(), bpf_program__fd(program), nullptr) == 0) {
    links.push_back({path, std::move(pinned)});
    return {};
  }
  std::error_code ignored;
  std::filesystem::remove(path, ignored);  // its cgroup has gone
  Fd link(
      bpf_link_create(bpf_program__fd(program), cgroup_.get(), bpf_program__expected_attach_type(program), nullptr));
  if (!link) return fail_errno(fmt::format("cannot attach {}", bpf_program__name(program)), errno);
  if (bpf_obj_pin(link.get(), path.c_str()) != 0) return fail_errno(fmt::format("cannot pin {}", path), errno);
  links.push_back({path, std::move(link)});
  return {};
}

Result<bool> PolicyTables::keep_pinned() {
  bool any = false;
  const auto keep = [&](const std::string& path, int fd) -> Result<void> {
    std::error_code error;
    if (std::filesystem::exists(path, error)) return {};
    if (bpf_obj_pin(fd, path.c_str()) != 0) return fail_errno(fmt::format("cannot pin {}", path), errno);
    any = true;
    return {};
  };
  if (links_.empty()) return false;
  for (const auto* map : maps_of(skeleton_->obj)) {
    if (auto kept = keep(pin_of(bpf_map__name(map)), bpf_map__fd(map)); !kept) return tl::make_unexpected(kept.error());
  }
  for (const auto* links : {&links_, &connect_links_}) {
    for (const auto& link : *links) {
      if (auto kept = keep(link.pin, link.fd.get()); !kept) return tl::make_unexpected(kept.error());
    }
  }
  return any;
}

void PolicyTables::remove_pins() {
  if (!skeleton_) return;
  std::error_code ignored;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    std::filesystem::remove(pin_of(std::string(bpf_program__name(program)) + "_link"), ignored);
  }
  for (const auto* map : maps_of(skeleton_->obj)) std::filesystem::remove(pin_of(bpf_map__name(map)), ignored);
  std::filesystem::remove(options_.pin_path, ignored);  // unless others' pins are in it
}

std::chrono::system_clock::time_point PolicyTables::closed_since() const {
  const auto boot = value<cf_policy_boot>("policy_boot", 0);
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(boot.since_ns)));
}

std::vector<std::uint64_t> PolicyTables::hits() const {
  std::vector<std::uint64_t> out(CF_POLICY_HITS_MAX);
  const int fd = bpf_map__fd(skeleton_->maps.policy_hits);
  const bool all = each_batch(fd, [&](std::size_t count, const char* keys, const char* values) {
    for (std::size_t i = 0; i < count; ++i) {
      std::uint32_t rule = 0;
      std::memcpy(&rule, keys + i * sizeof rule, sizeof rule);
      if (rule < out.size()) std::memcpy(&out[rule], values + i * sizeof out[0], sizeof out[0]);
    }
  });
  for (std::uint32_t rule = 0; !all && rule < out.size(); ++rule) bpf_map_lookup_elem(fd, &rule, &out[rule]);
  return out;
}

std::vector<ProgramInfo> PolicyTables::programs() const {
  std::vector<ProgramInfo> out;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    out.push_back(describe_program(bpf_program__fd(program)));
    out.back().attached_to = options_.cgroup_root;
    out.back().pin = pin_of(std::string(bpf_program__name(program)) + "_link");
  }
  return out;
}

}  // namespace cortexflow::kernel
