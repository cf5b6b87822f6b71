// SPDX-License-Identifier: Apache-2.0
// relay: how another cfcli, far away, reaches the control socket here through a program's input and output.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>

#include "cli/commands.h"
#include "cli/unix_transport.h"

namespace cortexflow::cli {
namespace {

constexpr std::string_view kLoopback = "127.0.0.1:";

Result<Fd> connect_port(const std::string& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size()) return fail("{} is no port", port);
  address.sin_port = htons(number);
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  return fail_errno(fmt::format("cannot connect to {}{}", kLoopback, port), errno,
                    "does the agent serve metrics there?");
}

bool write_all(int to, const char* octets, std::size_t size) {
  while (size > 0) {
    const auto wrote = write(to, octets, size);
    if (wrote < 0 && errno == EAGAIN) {
      pollfd waits{to, POLLOUT, 0};
      poll(&waits, 1, -1);
      continue;
    }
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    octets += wrote;
    size -= static_cast<std::size_t>(wrote);
  }
  return true;
}

// Until the agent has ended its answer.  The end of our input is passed on: it stands for a caller that has gone, as an
// API server shows it.
Result<void> relay(int socket) {
  std::signal(SIGPIPE, SIG_IGN);
  std::array<pollfd, 2> waits{pollfd{socket, POLLIN, 0}, pollfd{STDIN_FILENO, POLLIN, 0}};
  std::array<char, 16384> buffer{};
  while (true) {
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return fail_errno("cannot wait", errno);
    if (waits[0].revents != 0) {
      const auto got = read(socket, buffer.data(), buffer.size());
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return {};
      if (got > 0 && !write_all(STDOUT_FILENO, buffer.data(), static_cast<std::size_t>(got))) return {};
    }
    if (waits[1].revents != 0) {
      const auto got = read(STDIN_FILENO, buffer.data(), buffer.size());
      if (got > 0 && !write_all(socket, buffer.data(), static_cast<std::size_t>(got))) return {};
      if (got == 0) {
        shutdown(socket, SHUT_WR);
        waits[1].fd = -1;
      }
    }
  }
}

}  // namespace

void add_relay(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("relay", "standard input and output to a socket here, for another cfcli");
  const auto path = std::make_shared<std::string>(kAgentSocket);
  command->add_option("path", *path, "a Unix socket's path, or the port that metrics are on: 127.0.0.1:PORT")
      ->capture_default_str();
  command->callback([&context, path] {
    context.run = [path]() -> Result<void> {
      const auto socket = path->starts_with(kLoopback) ? connect_port(path->substr(kLoopback.size()))
                          : *path == Context::kIdentitySocket
                              ? UnixTransport(*path, {"cfidentity", "cfidentity", "--identity-socket"}).connect_raw()
                              : UnixTransport(*path).connect_raw();
      if (!socket) return tl::make_unexpected(socket.error());
      return relay(socket->get());
    };
  });
}

}  // namespace cortexflow::cli
