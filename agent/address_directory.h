// SPDX-License-Identifier: Apache-2.0
// Whose an address is.
#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "agent/model/ip_address.h"
#include "agent/model/object.h"

namespace cortexflow {

class AddressDirectory {
 public:
  // All addresses of that object from now on.
  void set(const model::ObjectName& name, std::vector<model::IpAddress> addresses);
  // Null: nobody's, or several objects'.
  [[nodiscard]] const model::ObjectName* find(const model::IpAddress& address) const;

 private:
  struct Hash {
    std::size_t operator()(const model::IpAddress& address) const;
  };

  std::map<model::ObjectName, std::vector<model::IpAddress>> addresses_;
  std::unordered_map<model::IpAddress, std::vector<model::ObjectName>, Hash> owners_;
};

}  // namespace cortexflow
