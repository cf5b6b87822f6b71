// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/flow_tracer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/fd.h"
#include "agent/kernel/socket_iterator.h"
#include "flow.skel.h"
#include "flow_open.skel.h"

namespace cortexflow::kernel {
namespace {

int on_flow_record(void* context, void* data, std::size_t size) {
  (*static_cast<FlowTracer::RecordHandler*>(context))({static_cast<const std::byte*>(data), size});
  return 0;
}

}  // namespace

FlowTracer::FlowTracer(std::string cgroup_root, RecordHandler on_record)
    : cgroup_root_(std::move(cgroup_root)), on_record_(std::move(on_record)) {}

Result<std::unique_ptr<FlowTracer>> FlowTracer::open(const std::string& cgroup_root, const FlowSockets& sockets,
                                                     RecordHandler on_record) {
  std::unique_ptr<FlowTracer> out(new FlowTracer(cgroup_root, std::move(on_record)));
  out->skeleton_ = flow_bpf__open();
  if (!out->skeleton_) return fail_errno("cannot open the flow program", errno);
  for (const auto& [map, fd] : {std::pair{out->skeleton_->maps.svc_sockets, sockets.services},
                                std::pair{out->skeleton_->maps.policy_sockets, sockets.policy}}) {
    if (fd < 0) continue;
    const int error = bpf_map__reuse_fd(map, fd);
    if (error != 0) return fail_errno(fmt::format("cannot share {}", bpf_map__name(map)), -error);
  }
  if (const int error = flow_bpf__load(out->skeleton_); error != 0) {
    return fail_errno("the kernel refused the flow program", -error,
                      "run with --log-level debug for the verifier's words");
  }
  out->ring_ =
      ring_buffer__new(bpf_map__fd(out->skeleton_->maps.flow_events), on_flow_record, &out->on_record_, nullptr);
  if (!out->ring_) return fail_errno("cannot read the ring buffer flow_events", errno);
  const Fd cgroup(::open(cgroup_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup) return fail_errno(fmt::format("cannot open cgroup root {}", cgroup_root), errno);
  out->link_ = bpf_program__attach_cgroup(out->skeleton_->progs.flow_tcp, cgroup.get());
  if (!out->link_) return fail_errno(fmt::format("cannot attach flow_tcp to {}", cgroup_root), errno);
  if (!out->load_iterator(true)) (void)out->load_iterator(false);
  return out;
}

Result<void> FlowTracer::try_load() {
  flow_bpf* skeleton = flow_bpf__open();
  if (!skeleton) return fail_errno("cannot open the flow program", errno);
  const int error = flow_bpf__load(skeleton);
  flow_bpf__destroy(skeleton);
  if (error != 0) return fail_errno("the kernel refused the flow program", -error);
  return {};
}

FlowTracer::~FlowTracer() {
  bpf_link__destroy(open_link_);
  flow_open_bpf__destroy(open_skeleton_);
  bpf_link__destroy(link_);
  ring_buffer__free(ring_);
  flow_bpf__destroy(skeleton_);
}

int FlowTracer::ring_fd() const { return ring_buffer__epoll_fd(ring_); }

void FlowTracer::detach() {
  bpf_link__destroy(link_);
  link_ = nullptr;
  // Waits for the kernel's RCU readers: a run in the middle of a record is then done with it.
  syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

int FlowTracer::policy_sockets() const { return bpf_map__fd(skeleton_->maps.policy_sockets); }

void FlowTracer::consume() { ring_buffer__consume(ring_); }

std::array<std::uint64_t, CF_FLOW_C_MAX> FlowTracer::counters() const {
  std::array<std::uint64_t, CF_FLOW_C_MAX> sums{};
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (__u32 counter = 0; counter < CF_FLOW_C_MAX; ++counter) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.flow_counters), &counter, per_cpu.data()) != 0) continue;
    for (const auto value : per_cpu) sums[counter] += value;
  }
  return sums;
}

MapInfo FlowTracer::ring() const {
  const auto* events = ring_buffer__ring(ring_, 0);
  return {"flow_events", ring__avail_data_size(events), ring__size(events)};
}

std::vector<ProgramInfo> FlowTracer::programs() const {
  std::vector<ProgramInfo> out{describe_program(bpf_program__fd(skeleton_->progs.flow_tcp))};
  out.back().attached_to = cgroup_root_;
  if (!open_link_) return out;
  out.push_back(describe_program(bpf_program__fd(open_skeleton_->progs.flow_open)));
  out.back().attached_to = "flow_sockets, when the agent reads them";
  return out;
}

bool FlowTracer::load_iterator(bool other_storage) {
  open_skeleton_ = flow_open_bpf__open();
  if (!open_skeleton_) return false;
  open_skeleton_->rodata->other_storage = other_storage;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, open_skeleton_->obj) {
    const auto* shared = bpf_object__find_map_by_name(skeleton_->obj, bpf_map__name(map));
    if (shared && bpf_map__reuse_fd(map, bpf_map__fd(shared)) != 0) return false;
  }
  if (flow_open_bpf__load(open_skeleton_) != 0) {
    flow_open_bpf__destroy(open_skeleton_);
    open_skeleton_ = nullptr;
    return false;
  }
  open_link_ = attach_storage_iterator(open_skeleton_->progs.flow_open, bpf_map__fd(skeleton_->maps.flow_sockets));
  return true;
}

Result<std::vector<cf_flow>> FlowTracer::open_flows(std::size_t limit) const {
  if (!open_link_) return fail("this kernel takes no iterator over sockets: open connections can't be listed");
  return read_iterator<cf_flow>(open_link_, limit);
}

}  // namespace cortexflow::kernel
