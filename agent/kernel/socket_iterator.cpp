// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/socket_iterator.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <array>

#include "agent/base/fd.h"

namespace cortexflow::kernel {

bpf_link* attach_storage_iterator(const bpf_program* program, int storage_map) {
  bpf_iter_link_info over{};
  over.map.map_fd = static_cast<__u32>(storage_map);
  bpf_iter_attach_opts options{};
  options.sz = sizeof options;
  options.link_info = &over;
  options.link_info_len = sizeof over;
  return bpf_program__attach_iter(program, &options);
}

Result<std::string> read_iterator_octets(const bpf_link* link, std::size_t limit) {
  const Fd iterator(bpf_iter_create(bpf_link__fd(link)));
  if (!iterator) return fail_errno("cannot read connected sockets", errno);
  std::array<char, 16384> buffer{};
  std::string octets;
  while (octets.size() < limit) {
    const auto size = read(iterator.get(), buffer.data(), buffer.size());
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size < 0) return fail_errno("cannot read connected sockets", errno);
    if (size == 0) break;
    octets.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return octets;
}

}  // namespace cortexflow::kernel
