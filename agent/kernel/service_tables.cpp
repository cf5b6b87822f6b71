// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/service_tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "agent/kernel/pinned_maps.h"
#include "service.skel.h"
#include "tcp.skel.h"

namespace cortexflow::kernel {

Result<std::unique_ptr<ServiceTables>> ServiceTables::open(const ServiceTablesOptions& options) {
  std::unique_ptr<ServiceTables> tables(new ServiceTables(options));
  if (auto loaded = tables->load(); !loaded) return tl::make_unexpected(std::move(loaded.error()));
  return tables;
}

Result<void> ServiceTables::try_load() {
  service_bpf* skeleton = service_bpf__open_and_load();
  if (!skeleton) return fail_errno("the kernel refused the service programs", errno);
  service_bpf__destroy(skeleton);
  return {};
}

ServiceTables::~ServiceTables() {
  if (!options_.keep_on_exit) remove_pins();
  links_.clear();
  tcp_bpf__destroy(watch_);
  service_bpf__destroy(skeleton_);
}

std::string ServiceTables::pin_of(std::string_view name) const { return fmt::format("{}/{}", options_.pin_path, name); }

Result<void> ServiceTables::load() {
  cgroup_ = Fd(::open(options_.cgroup_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup_) return fail_errno(fmt::format("cannot open cgroup root {}", options_.cgroup_root), errno);
  skeleton_ = service_bpf__open();
  if (!skeleton_) return fail_errno("cannot open the service programs", errno);
  adopted_ = reuse_pinned_maps(maps_of(skeleton_->obj), options_.pin_path);
  if (const int error = service_bpf__load(skeleton_); error != 0) {
    return fail_errno("the kernel refused the service programs", -error,
                      "run with --log-level debug for the verifier's words");
  }
  add(skeleton_->obj);
  load_watch();
  return {};
}

void ServiceTables::load_watch() {
  watch_ = tcp_bpf__open();
  bpf_map* map = nullptr;
  bool shared = watch_ != nullptr;
  if (watch_) {
    bpf_object__for_each_map(map, watch_->obj) {
      const int own = fd(bpf_map__name(map));
      shared = shared && own >= 0 && bpf_map__reuse_fd(map, own) == 0;
    }
  }
  if (shared && tcp_bpf__load(watch_) == 0) return;
  unwatched_ = fmt::format(
      "the kernel refused the sock_ops program ({}): no latency, no failures, no limit of pending connections",
      std::strerror(errno));
  tcp_bpf__destroy(watch_);
  watch_ = nullptr;
}

std::vector<bpf_program*> ServiceTables::all_programs() const {
  std::vector<bpf_program*> out;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) out.push_back(program);
  if (watch_) {
    bpf_object__for_each_program(program, watch_->obj) out.push_back(program);
  }
  return out;
}

Result<void> ServiceTables::attach() {
  if (!adopted_) {
    if (auto pinned = pin_maps(maps_of(skeleton_->obj), options_.pin_path); !pinned) return pinned;
  }
  for (auto* program : all_programs()) {
    if (auto attached = attach(program); !attached) return attached;
  }
  const std::uint32_t zero = 0, on = watch_ ? 1 : 0;
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.svc_watched), &zero, &on, BPF_ANY) != 0) {
    return fail_errno("cannot write svc_watched", errno);
  }
  return {};
}

Result<void> ServiceTables::attach(bpf_program* program) {
  const auto path = pin_of(std::string(bpf_program__name(program)) + "_link");
  Fd pinned(bpf_obj_get(path.c_str()));
  if (pinned && bpf_link_update(pinned.get(), bpf_program__fd(program), nullptr) == 0) {
    links_.push_back(std::move(pinned));
    return {};
  }
  std::error_code ignored;
  std::filesystem::remove(path, ignored);  // its cgroup has gone
  Fd link(
      bpf_link_create(bpf_program__fd(program), cgroup_.get(), bpf_program__expected_attach_type(program), nullptr));
  if (!link) return fail_errno(fmt::format("cannot attach {}", bpf_program__name(program)), errno);
  if (bpf_obj_pin(link.get(), path.c_str()) != 0) return fail_errno(fmt::format("cannot pin {}", path), errno);
  links_.push_back(std::move(link));
  return {};
}

void ServiceTables::remove_pins() {
  if (!skeleton_) return;
  std::error_code ignored;
  for (const auto* program : all_programs()) {
    std::filesystem::remove(pin_of(std::string(bpf_program__name(program)) + "_link"), ignored);
  }
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (!bpf_map__is_internal(map)) std::filesystem::remove(pin_of(bpf_map__name(map)), ignored);
  }
  std::filesystem::remove(options_.pin_path, ignored);  // unless others' pins are in it
}

std::vector<ServiceTables::Hook> ServiceTables::hooks() const {
  std::vector<Hook> out;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    std::array<__u32, 64> ids{};  // BPF_CGROUP_MAX_PROGS
    auto count = static_cast<__u32>(ids.size());
    const auto type = bpf_program__expected_attach_type(program);
    const bool known = bpf_prog_query(cgroup_.get(), type, 0, nullptr, ids.data(), &count) == 0;
    const auto own = describe_program(bpf_program__fd(program)).id;
    out.push_back(
        {bpf_program__name(program), known && std::find(ids.begin(), ids.begin() + count, own) != ids.begin() + count});
  }
  return out;
}

std::vector<ProgramInfo> ServiceTables::programs() const {
  std::vector<ProgramInfo> out;
  for (const auto* program : all_programs()) {
    out.push_back(describe_program(bpf_program__fd(program)));
    out.back().attached_to = options_.cgroup_root;
    out.back().pin = pin_of(std::string(bpf_program__name(program)) + "_link");
  }
  return out;
}

}  // namespace cortexflow::kernel
