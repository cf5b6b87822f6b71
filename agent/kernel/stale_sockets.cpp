// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/stale_sockets.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/kernel/socket_iterator.h"
#include "stale_sockets.skel.h"

namespace cortexflow::kernel {

Result<std::unique_ptr<StaleSockets>> StaleSockets::open(const ServiceTables& tables) {
  std::unique_ptr<StaleSockets> out(new StaleSockets);
  out->skeleton_ = stale_sockets_bpf__open();
  if (!out->skeleton_) return fail_errno("cannot open the iterator over connected sockets", errno);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, out->skeleton_->obj) {
    if (bpf_map__is_internal(map)) continue;
    if (const int error = bpf_map__reuse_fd(map, tables.fd(bpf_map__name(map))); error != 0) {
      return fail_errno(fmt::format("cannot share {}", bpf_map__name(map)), -error);
    }
  }
  if (const int error = stale_sockets_bpf__load(out->skeleton_); error != 0) {
    return fail_errno("the kernel refused the iterator over connected sockets", -error);
  }
  out->link_ = attach_storage_iterator(out->skeleton_->progs.svc_stale, tables.fd("svc_sockets"));
  if (!out->link_) return fail_errno("cannot attach the iterator over connected sockets", errno);
  return out;
}

StaleSockets::~StaleSockets() {
  bpf_link__destroy(link_);
  stale_sockets_bpf__destroy(skeleton_);
}

Result<std::vector<cf_svc_stale_socket>> StaleSockets::find(std::size_t limit) const {
  return read_iterator<cf_svc_stale_socket>(link_, limit);
}

ProgramInfo StaleSockets::program() const {
  auto out = describe_program(bpf_program__fd(skeleton_->progs.svc_stale));
  out.attached_to = "svc_sockets, when the agent reads them";
  return out;
}

}  // namespace cortexflow::kernel
