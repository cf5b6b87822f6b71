// SPDX-License-Identifier: Apache-2.0
// Packets that are nearly right: one field at a time is given a value at its limits, so that a parser is led far in
// before something is wrong.
#pragma once

#include <array>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "tests/kernel/frames.h"

namespace cortexflow::test {

// Another one each run, and said: CORTEXFLOW_SEED=N goes through the same packets again.
inline std::uint32_t mutation_seed(const char* what) {
  const char* given = std::getenv("CORTEXFLOW_SEED");
  const auto seed = given ? static_cast<std::uint32_t>(std::stoul(given)) : std::random_device{}();
  std::cout << what << ": CORTEXFLOW_SEED=" << seed << std::endl;
  return seed;
}

class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return random_() % limit; }

  Bytes mutate(Bytes frame) {
    for (auto changes = below(4); changes > 0 && frame.size() > kIp + 1; --changes) change(frame);
    if (below(2) == 0) mend_checksum(frame);  // or nothing behind the header would be looked at by who checks it
    return frame;
  }

 private:
  static constexpr std::size_t kIp = 14, kV4 = 20, kV6 = 40;

  static bool is_v4(const Bytes& frame) { return frame[12] == 8 && frame[13] == 0; }
  static std::size_t header(const Bytes& frame) {
    return kIp + (is_v4(frame) ? std::size_t{frame[kIp] & 15U} * 4 : kV6);
  }

  std::uint8_t value(std::uint8_t was) {
    constexpr std::array<std::uint8_t, 16> kLimits{0, 1, 4, 5, 6, 7, 8, 15, 16, 17, 44, 0x45, 0x46, 0x7f, 0x80, 0xff};
    switch (below(4)) {
      case 0:
        return static_cast<std::uint8_t>(was + 1);
      case 1:
        return static_cast<std::uint8_t>(was - 1);
      case 2:
        return kLimits.at(below(kLimits.size()));
      default:
        return static_cast<std::uint8_t>(below(256));
    }
  }

  void set(Bytes& frame, std::size_t at) {
    if (at < frame.size()) frame[at] = value(frame[at]);
  }

  void change(Bytes& frame) {
    constexpr std::array<std::size_t, 9> kFieldsV4{0, 1, 2, 3, 6, 7, 8, 9, 12};  // version, length, parts, protocol...
    constexpr std::array<std::size_t, 6> kFieldsV6{0, 4, 5, 6, 7, 8};
    const auto l4 = header(frame);
    switch (below(9)) {
      case 0:
      case 1:
        return set(frame, kIp + (is_v4(frame) ? kFieldsV4.at(below(9)) : kFieldsV6.at(below(6))));
      case 2:
      case 3:
        return set(frame, l4 + below(20));  // ports, offset, flags; type, code, what an error cites
      case 4:
        return set(frame, l4 + 8 + below(48));  // the packet in an ICMP error, an extension header's next
      case 5:
        return set(frame, kIp + below(frame.size() - kIp));
      case 6: {  // cut off at, before or behind where a header ends
        const std::array<std::size_t, 7> ends{kIp, kIp + kV4, l4, l4 + 4, l4 + 8, l4 + 20, l4 + 28};
        const auto size = ends.at(below(ends.size())) + below(3) - 1;
        if (size > kIp && size < frame.size()) frame.resize(size);
        return;
      }
      case 7:
        return frame.resize(frame.size() + below(64));  // padding
      default:
        frame[12 + below(2)] = value(frame[12 + below(2)]);  // another EtherType
    }
  }

  static void mend_checksum(Bytes& frame) {
    if (frame.size() < kIp + kV4 || !is_v4(frame) || header(frame) < kIp + kV4 || header(frame) > frame.size()) return;
    frame[kIp + 10] = frame[kIp + 11] = 0;
    std::uint32_t sum = 0;
    for (auto at = kIp; at < header(frame); at += 2) sum += static_cast<std::uint32_t>(frame[at] << 8U | frame[at + 1]);
    while (sum >> 16U) sum = (sum & 0xffffU) + (sum >> 16U);
    frame[kIp + 10] = static_cast<std::uint8_t>(~sum >> 8U);
    frame[kIp + 11] = static_cast<std::uint8_t>(~sum);
  }

  std::mt19937 random_;
};

}  // namespace cortexflow::test
