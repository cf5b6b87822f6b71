// SPDX-License-Identifier: Apache-2.0
// connect_sequence BACKEND_NETNS BACKEND_PORT COUNT ARM...: COUNT connections by each arm, one after the other.  Prints
// JSON: by arm, the backend's address that each of them arrived at.
#include <arpa/inet.h>

#include <cstdio>
#include <exception>

#include "connect_arm.h"

int main(int argc, char** argv) {
  using cortexflow::bench::Transport;
  if (argc < 5) {
    std::fprintf(stderr, "usage: connect_sequence BACKEND_NETNS BACKEND_PORT COUNT ARM...\n");
    return 2;
  }
  try {
    const auto port = static_cast<std::uint16_t>(std::stoul(argv[2]));
    const int listener = cortexflow::bench::listener(Transport::kTcp, argv[1], port);
    const auto count = std::stoul(argv[3]);
    std::uint64_t random = 1;
    for (int i = 4; i < argc; ++i) {
      const auto arm = cortexflow::bench::parse_arm(argv[i]);
      cortexflow::bench::enter_cgroup(arm.cgroup);
      cortexflow::bench::enter_netns(arm.netns);
      std::printf("%s[", i == 4 ? "[" : ",\n");
      for (std::size_t n = 0; n < count; ++n) {
        cortexflow::bench::Sample sample{};
        call(Transport::kTcp, arm, -1, random, &sample, 1);
        char text[INET_ADDRSTRLEN];
        const auto at = cortexflow::bench::arrived_at(listener);
        std::printf("%s\"%s\"", n ? "," : "", inet_ntop(AF_INET, &at, text, sizeof text));
      }
      std::printf("]");
    }
    std::printf("]\n");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "connect_sequence: %s\n", error.what());
    return 1;
  }
}
