// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/rtnetlink.h"

#include <sys/socket.h>

#include <algorithm>

#include "agent/base/octets.h"

namespace cortexflow::kernel {

Attributes attributes_of(std::string_view octets) {
  Attributes out;
  while (octets.size() >= sizeof(rtattr)) {
    rtattr head{};
    octets.copy(reinterpret_cast<char*>(&head), sizeof head);
    if (head.rta_len < sizeof head || head.rta_len > octets.size()) break;
    out.emplace(head.rta_type & NLA_TYPE_MASK, octets.substr(sizeof head, head.rta_len - sizeof head));
    octets.remove_prefix(std::min<std::size_t>(RTA_ALIGN(head.rta_len), octets.size()));
  }
  return out;
}

std::string text_in(const Attributes& attributes, std::uint16_t type) {
  const auto found = attributes.find(type);
  if (found == attributes.end()) return {};
  return std::string(found->second.substr(0, found->second.find('\0')));
}

std::string request_of(std::uint16_t type, std::uint16_t flags, const std::string& body) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<__u32>(sizeof header + body.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | flags);
  return octets_of(header) + body;
}

Result<void> dump(int netlink, std::uint16_t type, const std::string& body,
                  const std::function<void(std::string_view)>& each) {
  const auto request = request_of(type, NLM_F_DUMP, body);
  if (send(netlink, request.data(), request.size(), 0) < 0) return fail_errno("cannot ask the kernel", errno);
  std::string got(kNetlinkAnswerMax, '\0');
  for (;;) {
    const auto size = recv(netlink, got.data(), got.size(), 0);
    if (size <= 0) return fail_errno("the kernel does not answer", errno);
    std::string_view left(got.data(), static_cast<std::size_t>(size));
    while (left.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header{};
      left.copy(reinterpret_cast<char*>(&header), sizeof header);
      if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > left.size()) break;
      const auto message = left.substr(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
      if (header.nlmsg_type == NLMSG_DONE) return {};
      if (header.nlmsg_type == NLMSG_ERROR) {
        nlmsgerr error{};
        message.copy(reinterpret_cast<char*>(&error), sizeof error);
        return fail_errno("the kernel refuses", -error.error);
      }
      each(message);
      left.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), left.size()));
    }
  }
}

}  // namespace cortexflow::kernel
