// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/service_ports.h"

#include <array>
#include <set>
#include <tuple>

#include "agent/source/manifest/names.h"

namespace cortexflow::source {
namespace {

// The endpoints say which port it is; here only whether it is one.
void check_target(const Field& target) {
  if (!target.present()) return;
  if (target.is_text()) {
    if (!is_iana_service_name(target.text())) target.expected("a port's number or name");
  } else {
    (void)target.number(1, kPortMax);
  }
}

std::uint16_t read_node_port(const Field& field, model::ServiceType type) {
  const auto number = field.number(0, kPortMax).value_or(0);  // the API server's own 0: none
  const bool allowed = type == model::ServiceType::kNodePort || type == model::ServiceType::kLoadBalancer;
  if (number != 0 && !allowed) field.refuse("expected type NodePort or LoadBalancer beside it");
  if (number == 0 && type == model::ServiceType::kNodePort) {
    field.refuse("expected a port; a directory has no API server that would choose one");
  }
  return static_cast<std::uint16_t>(number);
}

}  // namespace

model::Protocol read_protocol(const Field& field) {
  constexpr std::array kProtocols{model::Protocol::kTcp, model::Protocol::kUdp, model::Protocol::kSctp};
  return kProtocols.at(field.choice({"TCP", "UDP", "SCTP"}, 0));
}

std::vector<model::ServicePort> read_service_ports(const Field& ports, model::ServiceType type, bool required) {
  const auto items = ports.items(kPortsMax);
  if (required && items.empty()) ports.refuse("expected at least one port");
  std::vector<model::ServicePort> made;
  std::set<std::string> names;
  std::set<std::tuple<model::Protocol, std::uint16_t>> numbers;
  std::set<std::tuple<model::Protocol, std::uint16_t>> node_ports;
  for (const Field& item : items) {
    model::ServicePort port;
    port.name = item["name"].text();
    if (port.name.empty() && items.size() > 1) item["name"].expected("a name, as there is more than one port");
    if (!port.name.empty() && !is_dns1123_label(port.name)) {
      item["name"].expected("up to 63 of a-z, 0-9 and -, no - first or last");
    }
    if (!port.name.empty() && !names.insert(port.name).second) item["name"].expected("each name once");
    port.protocol = read_protocol(item["protocol"]);
    const auto number = item["port"].number(1, kPortMax);
    if (!number) item["port"].expected("a number from 1 to 65535");
    port.port = static_cast<std::uint16_t>(number.value_or(0));
    if (!numbers.emplace(port.protocol, port.port).second) item["port"].expected("each protocol and port once");
    check_target(item["targetPort"]);
    port.node_port = read_node_port(item["nodePort"], type);
    if (port.node_port != 0 && !node_ports.emplace(port.protocol, port.node_port).second) {
      item["nodePort"].expected("each protocol and node port once");
    }
    made.push_back(std::move(port));
  }
  return made;
}

}  // namespace cortexflow::source
