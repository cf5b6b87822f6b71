// SPDX-License-Identifier: Apache-2.0
// networking.k8s.io/v1 NetworkPolicy, with the API server's defaults and checks.  A field of `spec` that is not known
// is refused, also where the server would drop it: what restricts nothing here would let everybody in.
#include <fmt/format.h>

#include <array>

#include "agent/source/manifest/cidr.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/names.h"
#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kNetworkRulesMax = 4096;
constexpr std::size_t kPeersMax = 4096;  // of a rule
constexpr std::size_t kExceptionsMax = 4096;
constexpr std::size_t kNetworkPortsMax = 1024;
constexpr std::size_t kExpressionsMax = 256;
constexpr std::size_t kExpressionValuesMax = 1024;
constexpr std::size_t kPortNameMax = 15;

model::LabelRequirement read_expression(const Field& field) {
  if (!field.present()) field.expected("a mapping");
  field.only({"key", "operator", "values"});
  model::LabelRequirement out;
  out.key = field["key"].required_text();
  if (!is_label_key(out.key)) field["key"].expected("a label's key");
  if (!field["operator"].present()) field["operator"].expected("one of In, NotIn, Exists, DoesNotExist");
  out.op = static_cast<model::LabelOperator>(field["operator"].choice({"In", "NotIn", "Exists", "DoesNotExist"}, 0));
  for (const Field& value : field["values"].items(kExpressionValuesMax)) {
    out.values.push_back(value.text());
    if (!is_label_value(out.values.back())) value.expected("a label's value");
  }
  const bool wants = out.op == model::LabelOperator::kIn || out.op == model::LabelOperator::kNotIn;
  if (wants && out.values.empty()) field["values"].expected("at least one value, with In and NotIn");
  if (!wants && !out.values.empty()) field["values"].refuse("expected no values, with Exists and DoesNotExist");
  return out;
}

model::LabelSelector read_selector(const Field& field) {
  field.only({"matchLabels", "matchExpressions"});
  model::LabelSelector out{read_labels(field["matchLabels"])};
  for (const Field& item : field["matchExpressions"].items(kExpressionsMax)) {
    out.expressions.push_back(read_expression(item));
  }
  return out;
}

void read_block(const Field& field, model::NetworkPeer& peer) {
  field.only({"cidr", "except"});
  peer.block = read_cidr(field["cidr"], HostBits::kDropped);
  for (const Field& item : field["except"].items(kExceptionsMax)) {
    const auto except = read_cidr(item, HostBits::kDropped);
    if (!peer.block->covers(except.prefix) || except.length <= peer.block->length) {
      item.expected(fmt::format("a part of {}", peer.block->to_string()));
    }
    peer.except.push_back(except);
  }
}

model::NetworkPeer read_peer(const Field& field) {
  field.only({"podSelector", "namespaceSelector", "ipBlock"});
  model::NetworkPeer out;
  if (field["podSelector"].present()) out.pods = read_selector(field["podSelector"]);
  if (field["namespaceSelector"].present()) out.namespaces = read_selector(field["namespaceSelector"]);
  if (field["ipBlock"].present()) read_block(field["ipBlock"], out);
  const bool by_labels = out.pods || out.namespaces;
  if (by_labels && out.block) field["ipBlock"].refuse("expected ipBlock alone in its peer");
  if (!by_labels && !out.block) field.expected("podSelector, namespaceSelector or ipBlock");
  return out;
}

model::NetworkPort read_port(const Field& field) {
  if (!field.present()) field.expected("a mapping");
  field.only({"protocol", "port", "endPort"});
  model::NetworkPort out;
  constexpr std::array kProtocols{model::Protocol::kTcp, model::Protocol::kUdp, model::Protocol::kSctp};
  out.protocol = kProtocols.at(field["protocol"].choice({"TCP", "UDP", "SCTP"}, 0));
  const Field port = field["port"], end = field["endPort"];
  if (port.is_text()) {
    out.name = port.text();
    if (out.name.size() > kPortNameMax || !is_iana_service_name(out.name)) port.expected("a port, or a port's name");
    if (end.present()) end.refuse("expected endPort with a port's number alone");
    return out;
  }
  out.first = out.last = static_cast<std::uint16_t>(port.number(1, 65535).value_or(0));
  if (!end.present()) return out;
  if (out.first == 0) return end.refuse("expected endPort with a port alone"), out;
  out.last = static_cast<std::uint16_t>(end.number(out.first, 65535).value_or(out.first));
  return out;
}

std::vector<model::NetworkRule> read_rules(const Field& field, const char* peers) {
  std::vector<model::NetworkRule> out;
  for (const Field& item : field.items(kNetworkRulesMax)) {
    if (!item.present()) item.expected("a mapping");
    item.only({peers, "ports"});
    model::NetworkRule rule;
    for (const Field& peer : item[peers].items(kPeersMax)) rule.peers.push_back(read_peer(peer));
    for (const Field& port : item["ports"].items(kNetworkPortsMax)) rule.ports.push_back(read_port(port));
    out.push_back(std::move(rule));
  }
  return out;
}

}  // namespace

model::NetworkPolicy read_network_policy(const Field& object) {
  model::NetworkPolicy policy;
  policy.name = read_metadata(object, NameRule::kDns1123Subdomain).name;
  const Field spec = object["spec"];
  if (!spec.present()) spec.expected("a mapping");
  spec.only({"podSelector", "policyTypes", "ingress", "egress"});
  policy.selector = read_selector(spec["podSelector"]);
  auto ingress = read_rules(spec["ingress"], "from");
  auto egress = read_rules(spec["egress"], "to");
  // The server's defaults: ingress in any case, egress where there are rules for it.
  bool in = true, out = !egress.empty();
  if (const auto types = spec["policyTypes"].items(2); !types.empty()) {
    in = out = false;
    for (const Field& type : types) {
      if (!type.present()) type.expected("Ingress or Egress");
      (type.choice({"Ingress", "Egress"}, 0) == 0 ? in : out) = true;
    }
  }
  if (in) policy.ingress = std::move(ingress);
  if (out) policy.egress = std::move(egress);
  return policy;
}

}  // namespace cortexflow::source
