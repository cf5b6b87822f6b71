// SPDX-License-Identifier: Apache-2.0
#include "agent/address_directory.h"

#include <string_view>

namespace cortexflow {

std::size_t AddressDirectory::Hash::operator()(const model::IpAddress& address) const {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(address.octets.data()), address.octets.size()});
}

void AddressDirectory::set(const model::ObjectName& name, std::vector<model::IpAddress> addresses) {
  const auto had = addresses_.find(name);
  if (had != addresses_.end()) {
    if (had->second == addresses) return;
    for (const auto& address : had->second) {
      const auto of = owners_.find(address);
      std::erase(of->second, name);
      if (of->second.empty()) owners_.erase(of);
    }
    addresses_.erase(had);
  }
  if (addresses.empty()) return;
  for (const auto& address : addresses) owners_[address].push_back(name);
  addresses_.emplace(name, std::move(addresses));
}

const model::ObjectName* AddressDirectory::find(const model::IpAddress& address) const {
  const auto found = owners_.find(address);
  return found == owners_.end() || found->second.size() != 1 ? nullptr : &found->second.front();
}

}  // namespace cortexflow
