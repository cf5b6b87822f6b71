// SPDX-License-Identifier: Apache-2.0
#include "agent/control/top_key.h"

#include "agent/model/address_port.h"
#include "agent/protocol/dns/names.h"

namespace cortexflow::control {
namespace {

std::string or_unknown(const std::string& text) { return text.empty() ? "(unknown)" : text; }

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

std::string top_key(const model::DnsLookup& lookup, const std::string& by) {
  if (by == "server") return model::address_port_text(lookup.server.to_string(), lookup.server_port);
  if (by == "process") return or_unknown(lookup.comm);
  if (by == "workload") return or_unknown(lookup.workload.name);
  if (by == "type") return std::string(protocol::dns::type_name(lookup.qtype));
  return lower(lookup.name);  // RFC 4343: case is no difference, and some resolvers make it random
}

}  // namespace cortexflow::control
