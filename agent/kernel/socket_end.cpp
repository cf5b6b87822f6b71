// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/socket_end.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "agent/base/thread.h"

namespace cortexflow::kernel {
namespace {

Result<Fd> sock_diag_here() {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  const timeval patience{5, 0};  // it answers at once, or something is wrong
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
    return fail_errno("cannot ask the kernel about sockets (sock_diag)", errno);
  }
  return fd;
}

bool is_v4_mapped(const cf_svc_address& address) {
  static constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(address.address, kPrefix.data(), kPrefix.size()) == 0;
}

void copy_address(const cf_svc_address& from, bool v4, __be32 (&to)[4]) {
  std::memcpy(to, from.address + (v4 ? 12 : 0), v4 ? 4 : 16);
}

// 0, or the kernel's errno.
int destroy(const Fd& sock_diag, const cf_svc_stale_socket& socket) {
  struct {
    nlmsghdr header{};
    inet_diag_req_v2 body{};
  } request;
  const bool v4 = is_v4_mapped(socket.backend);
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DESTROY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.body.sdiag_family = v4 ? AF_INET : AF_INET6;
  request.body.sdiag_protocol = IPPROTO_UDP;
  request.body.idiag_states = ~0U;
  auto& id = request.body.id;
  copy_address(socket.local, v4, id.idiag_src);
  copy_address(socket.backend, v4, id.idiag_dst);
  id.idiag_sport = htons(socket.local.port);
  id.idiag_dport = htons(socket.backend.port);
  id.idiag_if = socket.interface;
  id.idiag_cookie[0] = static_cast<std::uint32_t>(socket.cookie);
  id.idiag_cookie[1] = static_cast<std::uint32_t>(socket.cookie >> 32);
  if (send(sock_diag.get(), &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) return errno;
  struct {
    nlmsghdr header{};
    nlmsgerr body{};
    std::array<char, 512> rest{};  // the request once more
  } answer;
  const auto size = recv(sock_diag.get(), &answer, sizeof answer, 0);
  if (size < 0) return errno;
  const auto needed = static_cast<ssize_t>(sizeof answer.header + sizeof answer.body.error);
  return size < needed || answer.header.nlmsg_type != NLMSG_ERROR ? EPROTO : -answer.body.error;
}

cf_svc_address loopback(const Fd& socket, int (*name)(int, sockaddr*, socklen_t*)) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  cf_svc_address out{};
  if (name(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return out;
  out.address[10] = out.address[11] = 0xff;
  std::memcpy(out.address + 12, &address.sin_addr, 4);
  out.port = ntohs(address.sin_port);
  return out;
}

}  // namespace

Result<void> try_socket_end() {
  const Fd own(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(9);  // discard; nothing is sent
  cf_svc_stale_socket found{};
  socklen_t length = sizeof found.cookie;
  if (!own || connect(own.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 ||
      getsockopt(own.get(), SOL_SOCKET, SO_COOKIE, &found.cookie, &length) != 0) {
    return fail_errno("cannot try SOCK_DESTROY on a socket of the agent's own", errno);
  }
  found.local = loopback(own, getsockname);
  found.backend = loopback(own, getpeername);
  const auto sock_diag = sock_diag_here();
  if (!sock_diag) return tl::make_unexpected(sock_diag.error());
  if (const int error = destroy(*sock_diag, found); error != 0) {
    return fail_errno("the kernel ends no UDP sockets (SOCK_DESTROY)", error,
                      "it needs CONFIG_INET_DIAG_DESTROY, the module udp_diag and CAP_NET_ADMIN");
  }
  return {};
}

Result<Fd> open_sock_diag(const Fd& netns) {
  Result<Fd> fd = Fd();
  const auto enter = [&] {
    if (setns(netns.get(), CLONE_NEWNET) == 0) {
      fd = sock_diag_here();
    } else {
      fd = fail_errno("cannot enter a network namespace", errno);
    }
  };
  auto thread = start_thread(enter);  // one that ends takes its namespace with it
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  thread->join();
  return fd;
}

SocketEnd end_socket(const Fd& sock_diag, const cf_svc_stale_socket& socket) {
  const int error = destroy(sock_diag, socket);
  if (error == 0) return SocketEnd::kDestroyed;
  return error == ENOENT ? SocketEnd::kMoved : SocketEnd::kFailed;
}

}  // namespace cortexflow::kernel
