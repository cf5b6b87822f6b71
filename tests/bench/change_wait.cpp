// SPDX-License-Identifier: Apache-2.0
// change_wait BACKEND_NETNS BACKEND_PORT ARM TARGET [FILE BACKEND]...: renames each FILE over TARGET, a manifest that
// an agent follows, and connects again and again until a connection arrives at the address BACKEND.  Prints JSON:
// nanoseconds from rename() until that connection stood, by file.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdio>
#include <ctime>
#include <exception>
#include <stdexcept>

#include "connect_arm.h"

namespace {

constexpr std::uint64_t kTooLongNs = 30'000'000'000U;

std::uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1000000000U + static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t change(const cortexflow::bench::Arm& arm, int listener, const char* file, const char* target,
                     const char* backend) {
  in_addr expected{};
  if (inet_pton(AF_INET, backend, &expected) != 1) throw std::runtime_error(std::string("no IPv4 address: ") + backend);
  const auto began = now();  // before: rename() may well end when the agent, which it wakes, is done
  if (std::rename(file, target) != 0) throw std::runtime_error(std::string("cannot rename ") + file);
  std::uint64_t random = 1;
  for (;;) {
    cortexflow::bench::Sample sample{};
    call(cortexflow::bench::Transport::kTcp, arm, -1, random, &sample, 1);
    const auto took = now() - began;
    if (cortexflow::bench::arrived_at(listener).s_addr == expected.s_addr) return took;
    if (took > kTooLongNs) throw std::runtime_error(std::string(backend) + " is never reached");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7 || argc % 2 == 0) {
    std::fprintf(stderr, "usage: change_wait BACKEND_NETNS BACKEND_PORT ARM TARGET [FILE BACKEND]...\n");
    return 2;
  }
  try {
    const int listener = cortexflow::bench::listener(cortexflow::bench::Transport::kTcp, argv[1],
                                                     static_cast<std::uint16_t>(std::stoul(argv[2])));
    const auto arm = cortexflow::bench::parse_arm(argv[3]);
    cortexflow::bench::enter_cgroup(arm.cgroup);
    cortexflow::bench::enter_netns(arm.netns);
    for (int i = 5; i < argc; i += 2) {
      const auto took = change(arm, listener, argv[i], argv[4], argv[i + 1]);
      std::printf("%s%llu", i == 5 ? "[" : ",", static_cast<unsigned long long>(took));
    }
    std::printf("]\n");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "change_wait: %s\n", error.what());
    return 1;
  }
}
