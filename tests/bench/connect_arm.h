// SPDX-License-Identifier: Apache-2.0
// One way to reach a backend, as a process of its own: its cgroup, its network namespace, whom it calls.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cortexflow::bench {

enum class Transport { kTcp, kUdp };

struct Arm {
  std::string name, netns, cgroup;  // netns: a path
  std::uint32_t address = 0;        // of the first service, host order
  std::uint32_t services = 1;       // that follow each other; each call goes to one at random
  std::uint16_t port = 0;
};

// Nanoseconds.  TCP: connect() alone; socket(), connect() and close().  UDP: sendto() alone; sendto() and recvfrom().
struct Sample {
  std::uint32_t first, whole;
};

// "name,/run/netns/x,/sys/fs/cgroup/y,10.96.0.1,100,80"; throws what is wrong.
[[nodiscard]] Arm parse_arm(const std::string& text);

// A listening, or bound, socket of that namespace on every address; not blocking.
[[nodiscard]] int listener(Transport transport, const std::string& netns, std::uint16_t port);

// The backend's address that the next connection has come to.
[[nodiscard]] in_addr arrived_at(int listener);

// Accepts and closes, for ever.
[[noreturn]] void serve(int listener);

void enter_netns(const std::string& path);
void enter_cgroup(const std::string& path);

// Calls whom the arm calls, one after the other, into the samples.  The backend's part (accept and close, or the
// answer) is done by the caller itself, outside of what is measured; with `listener` -1 there is a server for that.  A
// connection is closed by a reset, in every arm: nothing waits in TIME_WAIT, and no ports run out.
void call(Transport transport, const Arm& arm, int listener, std::uint64_t& random, Sample* samples, std::size_t count);

}  // namespace cortexflow::bench
