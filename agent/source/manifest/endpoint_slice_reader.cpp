// SPDX-License-Identifier: Apache-2.0
// discovery.k8s.io/v1 EndpointSlice, checked as pkg/apis/discovery/validation does.
#include <set>

#include "agent/source/manifest/address.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/names.h"
#include "agent/source/manifest/object_readers.h"
#include "agent/source/manifest/service_ports.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kEndpointsMax = 1000;
constexpr std::size_t kEndpointAddressesMax = 100;
constexpr std::size_t kHintsMax = 8;

model::Endpoint read_endpoint(const Field& item, bool v4, const std::string& ns) {
  model::Endpoint endpoint;
  // They all are the same endpoint's: as kube-proxy, take the first.
  const auto addresses = item["addresses"].items(kEndpointAddressesMax);
  if (addresses.empty()) item["addresses"].expected("at least one address");
  for (const Field& one : addresses) {
    const auto address = read_address(one);
    if (!address) continue;
    if (address->is_v4() != v4)
      one.expected(v4 ? "an IPv4 address, as addressType says" : "an IPv6 address, as addressType says");
    refuse_special(one, *address);
    if (&one == &addresses.front()) endpoint.address = *address;
  }
  const Field conditions = item["conditions"];
  endpoint.ready = conditions["ready"].flag(true);
  endpoint.serving = conditions["serving"].flag(true);
  endpoint.terminating = conditions["terminating"].flag(false);
  endpoint.node = item["nodeName"].text();
  endpoint.zone = item["zone"].text();
  for (const Field& zone : item["hints"]["forZones"].items(kHintsMax)) {
    endpoint.zone_hints.push_back(zone["name"].required_text());
  }
  const Field target = item["targetRef"];
  if (target["kind"].text() == "Pod") endpoint.pod = {target["namespace"].text(ns), target["name"].required_text()};
  return endpoint;
}

}  // namespace

model::EndpointSlice read_endpoint_slice(const Field& object) {
  model::EndpointSlice slice;
  Metadata metadata = read_metadata(object, NameRule::kDns1123Subdomain);
  slice.name = std::move(metadata.name);
  slice.service = std::move(metadata.labels["kubernetes.io/service-name"]);
  const Field type = object["addressType"];
  if (type.required_text() == "FQDN") type.expected("IPv4 or IPv6: names are not looked up");
  const bool v4 = type.choice({"IPv4", "IPv6"}, 0) == 0;
  std::set<std::string> names;
  for (const Field& item : object["ports"].items(kPortsMax)) {
    model::EndpointPort port;
    port.name = item["name"].text();
    if (!port.name.empty() && !is_dns1123_label(port.name)) {
      item["name"].expected("up to 63 of a-z, 0-9 and -, no - first or last");
    }
    if (!names.insert(port.name).second) item["name"].expected("each name once");
    port.protocol = read_protocol(item["protocol"]);
    const auto number = item["port"].number(1, kPortMax);
    port.port = static_cast<std::uint16_t>(number.value_or(0));
    if (number) slice.ports.push_back(std::move(port));  // without: not interpreted, as kube-proxy
  }
  const auto endpoints = object["endpoints"].items(kEndpointsMax);
  slice.endpoints.reserve(endpoints.size());
  for (const Field& item : endpoints) slice.endpoints.push_back(read_endpoint(item, v4, slice.name.ns));
  return slice;
}

}  // namespace cortexflow::source
