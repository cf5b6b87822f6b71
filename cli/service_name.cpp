// SPDX-License-Identifier: Apache-2.0
#include "cli/service_name.h"

namespace cortexflow::cli {

using nlohmann::ordered_json;

std::string full_name(const std::string& name) {
  return name.find('/') == std::string::npos ? "default/" + name : name;
}

Result<ordered_json> services_named(const Context& context, const std::string& name) {
  auto document = context.client().get("/v1/services");
  if (!document) return document;
  auto found = ordered_json::array();
  for (const auto& service : document->at("services")) {
    if (name.empty() || service.at("name") == full_name(name)) found.push_back(service);
  }
  if (found.empty() && !name.empty()) {
    return tl::make_unexpected(
        Error{fmt::format("there is no service {} with an address", full_name(name)), "see cfcli service list"});
  }
  if (name.empty()) {
    for (const auto& refusal : document->at("refusals")) {
      fmt::print(stderr, "not used: {}\n", printable(refusal.get<std::string>()));
    }
  }
  return ordered_json{{"services", std::move(found)}};
}

}  // namespace cortexflow::cli
