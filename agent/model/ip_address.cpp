// SPDX-License-Identifier: Apache-2.0
#include "agent/model/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

namespace cortexflow::model {

bool IpAddress::is_v4() const {
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), octets.begin());
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_v4()) {
    inet_ntop(AF_INET, octets.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, octets.data(), text, sizeof text);
  }
  return text;
}

}  // namespace cortexflow::model
