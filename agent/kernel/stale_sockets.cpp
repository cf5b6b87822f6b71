// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/stale_sockets.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cstring>
#include <string>

#include "agent/base/fd.h"
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
  bpf_iter_link_info over{};
  over.map.map_fd = static_cast<__u32>(tables.fd("svc_sockets"));
  bpf_iter_attach_opts options{};
  options.sz = sizeof options;
  options.link_info = &over;
  options.link_info_len = sizeof over;
  out->link_ = bpf_program__attach_iter(out->skeleton_->progs.svc_stale, &options);
  if (!out->link_) return fail_errno("cannot attach the iterator over connected sockets", errno);
  return out;
}

StaleSockets::~StaleSockets() {
  bpf_link__destroy(link_);
  stale_sockets_bpf__destroy(skeleton_);
}

Result<std::vector<cf_svc_stale_socket>> StaleSockets::find(std::size_t limit) const {
  const Fd iterator(bpf_iter_create(bpf_link__fd(link_)));
  if (!iterator) return fail_errno("cannot read connected sockets", errno);
  std::vector<cf_svc_stale_socket> out;
  std::array<char, 16384> buffer{};
  std::string octets;  // a read may end within a record
  while (out.size() < limit) {
    const auto size = read(iterator.get(), buffer.data(), buffer.size());
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size < 0) return fail_errno("cannot read connected sockets", errno);
    if (size == 0) break;
    octets.append(buffer.data(), static_cast<std::size_t>(size));
    std::size_t at = 0;
    for (; at + sizeof(cf_svc_stale_socket) <= octets.size() && out.size() < limit; at += sizeof(cf_svc_stale_socket)) {
      std::memcpy(&out.emplace_back(), octets.data() + at, sizeof(cf_svc_stale_socket));
    }
    octets.erase(0, at);
  }
  return out;
}

ProgramInfo StaleSockets::program() const {
  auto out = describe_program(bpf_program__fd(skeleton_->progs.svc_stale));
  out.attached_to = "svc_sockets, when the agent reads them";
  return out;
}

}  // namespace cortexflow::kernel
