// SPDX-License-Identifier: Apache-2.0
#include "connect_arm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace cortexflow::bench {
namespace {

constexpr int kBacklog = 4096;  // net.core.somaxconn's default
constexpr int kAnswerMs = 5000;

int must(int result, const std::string& what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

std::uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1000000000U + static_cast<std::uint64_t>(time.tv_nsec);
}

sockaddr_in address_of(const Arm& arm, std::uint64_t& random) {
  random ^= random << 13;  // xorshift64, Marsaglia 2003
  random ^= random >> 7;
  random ^= random << 17;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(arm.port);
  to.sin_addr.s_addr = htonl(arm.address + static_cast<std::uint32_t>(random % arm.services));
  return to;
}

const sockaddr* generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

Sample connect_once(const sockaddr_in& to) {
  const auto began = now();
  const int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const auto before = now();
  must(connect(fd, generic(to), sizeof to), "connect");
  const auto after = now();
  const linger reset{1, 0};
  must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), "SO_LINGER");
  must(close(fd), "close");
  return {static_cast<std::uint32_t>(after - before), static_cast<std::uint32_t>(now() - began)};
}

void accept_all(int listener) {
  for (int fd; (fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) close(fd);
  if (errno != EAGAIN) must(-1, "accept");
}

void wait_for(int fd, const char* what) {
  pollfd one{fd, POLLIN, 0};
  if (must(poll(&one, 1, kAnswerMs), "poll") == 0) throw std::runtime_error(std::string(what) + ": nothing came");
}

Sample ask_once(int fd, int server, const sockaddr_in& to) {
  char octets[64] = {};
  const auto began = now();
  must(static_cast<int>(sendto(fd, octets, sizeof octets, 0, generic(to), sizeof to)), "sendto");
  const auto sent = now();
  wait_for(server, "backend");
  sockaddr_in from{};
  socklen_t length = sizeof from;
  must(static_cast<int>(recvfrom(server, octets, sizeof octets, 0, reinterpret_cast<sockaddr*>(&from), &length)),
       "recvfrom");
  must(static_cast<int>(sendto(server, octets, sizeof octets, 0, generic(from), length)), "answer");
  wait_for(fd, "answer");
  const auto before = now();
  must(static_cast<int>(recvfrom(fd, octets, sizeof octets, 0, reinterpret_cast<sockaddr*>(&from), &length)),
       "recvfrom");
  const auto received = now() - before;
  if (from.sin_addr.s_addr != to.sin_addr.s_addr || from.sin_port != to.sin_port) {
    throw std::runtime_error("the answer does not seem to come from whom was asked");
  }
  return {static_cast<std::uint32_t>(sent - began), static_cast<std::uint32_t>(sent - began + received)};
}

}  // namespace

Arm parse_arm(const std::string& text) {
  std::istringstream in(text);
  Arm arm;
  std::string address, services, port;
  for (auto* field : {&arm.name, &arm.netns, &arm.cgroup, &address, &services, &port}) {
    if (!std::getline(in, *field, ','))
      throw std::runtime_error("expected NAME,NETNS,CGROUP,ADDRESS,SERVICES,PORT: " + text);
  }
  in_addr parsed{};
  if (inet_pton(AF_INET, address.c_str(), &parsed) != 1) throw std::runtime_error("no IPv4 address: " + address);
  arm.address = ntohl(parsed.s_addr);
  arm.services = static_cast<std::uint32_t>(std::stoul(services));
  arm.port = static_cast<std::uint16_t>(std::stoul(port));
  return arm;
}

void enter_netns(const std::string& path) {
  const int fd = must(open(path.c_str(), O_RDONLY | O_CLOEXEC), path);
  must(setns(fd, CLONE_NEWNET), "setns");
  close(fd);
}

void enter_cgroup(const std::string& path) {
  const int fd = must(open((path + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC), path);
  must(static_cast<int>(write(fd, "0", 1)), path);
  close(fd);
}

int listener(Transport transport, const std::string& netns, std::uint16_t port) {
  const int home = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "own namespace");
  enter_netns(netns);
  const int type = transport == Transport::kTcp ? SOCK_STREAM : SOCK_DGRAM;
  const int fd = must(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(port);
  must(bind(fd, generic(any), sizeof any), "bind");
  if (transport == Transport::kTcp) must(listen(fd, kBacklog), "listen");
  must(setns(home, CLONE_NEWNET), "setns");
  close(home);
  return fd;
}

in_addr arrived_at(int listener) {
  wait_for(listener, "backend");
  const int fd = must(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
  sockaddr_in here{};
  socklen_t length = sizeof here;
  must(getsockname(fd, reinterpret_cast<sockaddr*>(&here), &length), "getsockname");
  close(fd);
  return here.sin_addr;
}

void serve(int listener) {
  must(fcntl(listener, F_SETFL, 0), "F_SETFL");
  for (;;) {
    if (const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC); fd >= 0) close(fd);
  }
}

void call(Transport transport, const Arm& arm, int listener, std::uint64_t& random, Sample* samples,
          std::size_t count) {
  if (transport == Transport::kTcp) {
    for (std::size_t i = 0; i < count; ++i) samples[i] = connect_once(address_of(arm, random));
    if (listener >= 0) accept_all(listener);
    return;
  }
  const int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  for (std::size_t i = 0; i < count; ++i) samples[i] = ask_once(fd, listener, address_of(arm, random));
  close(fd);
}

}  // namespace cortexflow::bench
