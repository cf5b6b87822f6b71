// SPDX-License-Identifier: Apache-2.0
// DNS names of service accounts: "{service_account}.{namespace}.svc".
#pragma once

#include <string>
#include <string_view>

namespace cortexflow::identity {

[[nodiscard]] inline std::string fill_name(std::string_view name, std::string_view account_namespace,
                                           std::string_view account) {
  constexpr std::string_view kNamespace = "{namespace}", kAccount = "{service_account}";
  std::string out;
  while (!name.empty()) {
    const bool is_namespace = name.starts_with(kNamespace);
    const bool is_account = name.starts_with(kAccount);
    if (is_namespace || is_account) {
      out += is_namespace ? account_namespace : account;
      name.remove_prefix((is_namespace ? kNamespace : kAccount).size());
    } else {
      out += name.front();
      name.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace cortexflow::identity
