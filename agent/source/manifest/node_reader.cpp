// SPDX-License-Identifier: Apache-2.0
// core/v1 Node: the addresses that it is known by.
#include <algorithm>

#include "agent/source/manifest/address.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kNodeAddressesMax = 256;

}  // namespace

model::Node read_node(const Field& object) {
  model::Node node{read_metadata(object, NameRule::kDns1123Subdomain, false).name.name, {}};
  for (const Field& item : object["status"]["addresses"].items(kNodeAddressesMax)) {
    const std::string type = item["type"].text();  // others are names
    if (type != "InternalIP" && type != "ExternalIP") continue;
    const auto address = read_address(item["address"]);
    if (address) node.addresses.push_back(*address);
  }
  std::sort(node.addresses.begin(), node.addresses.end());
  return node;
}

}  // namespace cortexflow::source
