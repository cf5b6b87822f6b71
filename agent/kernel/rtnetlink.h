// SPDX-License-Identifier: Apache-2.0
// Messages of rtnetlink(7), as octets.
#pragma once

#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace cortexflow::kernel {

inline constexpr std::size_t kNetlinkAnswerMax = 65536;  // of one recv(); the kernel's parts have 32 kB at most

// By type; of several of one type the first.  They point into what they are of.
using Attributes = std::map<std::uint16_t, std::string_view>;
[[nodiscard]] Attributes attributes_of(std::string_view octets);

template <typename Value>
[[nodiscard]] std::optional<Value> value_in(const Attributes& attributes, std::uint16_t type) {
  const auto found = attributes.find(type);
  if (found == attributes.end() || found->second.size() < sizeof(Value)) return std::nullopt;
  Value out{};
  found->second.copy(reinterpret_cast<char*>(&out), sizeof out);
  return out;
}

[[nodiscard]] std::string text_in(const Attributes& attributes, std::uint16_t type);

// Header and body.
[[nodiscard]] std::string request_of(std::uint16_t type, std::uint16_t flags, const std::string& body);

// Asks for all objects, and gives each one's message, without its header, to `each`.  `type`: RTM_GETLINK...
[[nodiscard]] Result<void> dump(int netlink, std::uint16_t type, const std::string& body,
                                const std::function<void(std::string_view)>& each);

}  // namespace cortexflow::kernel
