// SPDX-License-Identifier: Apache-2.0
// cortexflow.io/v1alpha1 AuthorizationPolicy:
//
//   spec:
//     selector: {matchLabels: {app: cart}}    # pods of the policy's namespace; left out: all of them
//     action: ALLOW                           # ALLOW (default), DENY, AUDIT: count what matches
//     direction: ingress                      # ingress (default): who may call the pods; egress: whom they may call
//     mode: enforce                           # enforce (default), audit: count what it would refuse, and let it pass
//     rules:                                  # left out, with ALLOW: nobody may
//     - from:                                 # left out: anybody
//       - source:                             # fields apply together, a field's values are alternatives
//           principals: ["spiffe://cluster.local/ns/shop/sa/web"]   # a part may be *
//           namespaces: [shop]
//           serviceAccounts: [web, other/web] # of the policy's namespace where none is given
//           podLabels: {app: web}             # of pods in `namespaces`; left out: the policy's own
//       - source: {ipBlocks: [198.51.100.0/24]}                     # alone in its source
//       - source: {entities: [host, node, world, unmanaged]}        # likewise
//       to:                                   # left out: every port
//       - operation: {ports: [80], protocols: [TCP]}                # TCP, UDP; left out: both
//     - to:                                   # of egress, which has no from; left out: anybody
//       - destination: {podLabels: {app: db}} # as a source; left out: anybody
//         operation: {ports: [5432]}          # of the called pod; both apply together
//
// A field that is not known is refused: a typing error must not pass for a default.
#include <fmt/format.h>

#include <algorithm>

#include "agent/source/manifest/cidr.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/names.h"
#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kRulesMax = 4096;
constexpr std::size_t kSourcesMax = 512;  // of a rule; as Istio's validation
constexpr std::size_t kOperationsMax = 512;
constexpr std::size_t kSourceValuesMax = 4096;  // of a field
constexpr std::size_t kOperationPortsMax = 256;
constexpr std::size_t kEntities = 4;

std::string part_of(std::string_view text, std::size_t& at) {
  const auto end = std::min(text.find('/', at), text.size());
  std::string part(text.substr(at, end - at));
  at = std::min(end + 1, text.size());
  return part;
}

bool is_principal_part(const std::string& part) { return part == "*" || is_dns1123_subdomain(part); }

model::Principal read_principal(const Field& field) {
  constexpr std::string_view kScheme = "spiffe://";
  const std::string text = field.required_text();
  model::Principal out;
  std::size_t at = kScheme.size();
  bool good = text.starts_with(kScheme);
  if (good) {
    out.trust_domain = part_of(text, at);
    good = part_of(text, at) == "ns";
    out.ns = part_of(text, at);
    good = good && part_of(text, at) == "sa";
    out.service_account = part_of(text, at);
    good = good && text == fmt::format("{}{}/ns/{}/sa/{}", kScheme, out.trust_domain, out.ns, out.service_account);
  }
  if (!good || !is_principal_part(out.trust_domain) || !is_principal_part(out.ns) ||
      !is_principal_part(out.service_account)) {
    field.expected("spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT, each a name or *");
  }
  return out;
}

model::ObjectName read_service_account(const Field& field, const std::string& ns) {
  const std::string text = field.required_text();
  const auto slash = text.find('/');
  model::ObjectName out{slash == std::string::npos ? ns : text.substr(0, slash),
                        slash == std::string::npos ? text : text.substr(slash + 1)};
  if (!is_dns1123_label(out.ns) || !is_dns1123_subdomain(out.name)) field.expected("NAME, or NAMESPACE/NAME");
  return out;
}

std::string read_namespace_name(const Field& field) {
  std::string text = field.required_text();
  if (!is_dns1123_label(text)) field.expected("a namespace's name");
  return text;
}

// A list that is there has something in it: an empty one would match everybody where nobody is meant.
std::vector<Field> values_of(const Field& field, std::size_t max = kSourceValuesMax) {
  auto items = field.items(max);
  if (field.present() && items.empty()) field.expected("at least one");
  return items;
}

model::PolicySource read_source(const Field& field, const std::string& ns) {
  field.only({"principals", "namespaces", "serviceAccounts", "podLabels", "ipBlocks", "entities"});
  model::PolicySource out;
  for (const Field& item : values_of(field["principals"])) out.principals.push_back(read_principal(item));
  for (const Field& item : values_of(field["namespaces"])) out.namespaces.push_back(read_namespace_name(item));
  for (const Field& item : values_of(field["serviceAccounts"])) {
    out.service_accounts.push_back(read_service_account(item, ns));
  }
  out.pod_labels = read_labels(field["podLabels"]);
  if (field["podLabels"].present() && out.pod_labels.empty()) field["podLabels"].expected("at least one label");
  for (const Field& item : values_of(field["ipBlocks"])) out.ip_blocks.push_back(read_cidr(item));
  for (const Field& item : values_of(field["entities"], kEntities)) {
    if (!item.present()) item.expected("host, node, world or unmanaged");
    out.entities.push_back(static_cast<model::Entity>(item.choice({"host", "node", "world", "unmanaged"}, 0)));
  }
  const bool by_identity =
      !out.principals.empty() || !out.namespaces.empty() || !out.service_accounts.empty() || !out.pod_labels.empty();
  if (by_identity && !out.ip_blocks.empty()) field["ipBlocks"].refuse("expected ipBlocks alone in its source");
  if ((by_identity || !out.ip_blocks.empty()) && !out.entities.empty()) {
    field["entities"].refuse("expected entities alone in its source");
  }
  if (!by_identity && out.ip_blocks.empty() && out.entities.empty()) field.expected("at least one of its fields");
  if (!out.pod_labels.empty() && out.namespaces.empty()) out.namespaces.push_back(ns);
  return out;
}

model::PolicyOperation read_operation(const Field& field) {
  field.only({"ports", "protocols"});
  model::PolicyOperation out;
  const auto ports = field["ports"].items(kOperationPortsMax);
  for (const Field& port : ports) {
    if (!port.present()) port.expected("a port");
    out.ports.push_back(static_cast<std::uint16_t>(port.number(1, 65535).value_or(0)));
  }
  const auto protocols = field["protocols"].items(2);
  for (const Field& protocol : protocols) {
    if (!protocol.present()) protocol.expected("TCP or UDP");
    out.protocols.push_back(protocol.choice({"TCP", "UDP"}, 0) == 0 ? model::Protocol::kTcp : model::Protocol::kUdp);
  }
  if (ports.empty() && protocols.empty()) field.expected("ports or protocols, at least one");
  std::sort(out.ports.begin(), out.ports.end());
  out.ports.erase(std::unique(out.ports.begin(), out.ports.end()), out.ports.end());
  std::sort(out.protocols.begin(), out.protocols.end());
  out.protocols.erase(std::unique(out.protocols.begin(), out.protocols.end()), out.protocols.end());
  return out;
}

model::PolicyOperation read_call(const Field& item, const std::string& ns, bool egress) {
  item.only({"destination", "operation"});
  const Field whom = item["destination"], where = item["operation"];
  auto out = where.present() ? read_operation(where) : model::PolicyOperation{};
  if (whom.present()) out.destination = read_source(whom, ns);
  if (egress && !whom.present() && !where.present()) item.expected("destination or operation, at least one");
  if (!egress && whom.present()) whom.refuse("expected it with direction egress alone");
  if (!egress && !where.present()) where.expected("a mapping");
  return out;
}

model::PolicyRule read_rule(const Field& field, const std::string& ns, bool egress) {
  if (!field.present()) field.expected("a mapping");
  field.only({"from", "to"});
  model::PolicyRule out;
  for (const Field& item : field["from"].items(kSourcesMax)) {
    item.only({"source"});
    if (!item["source"].present()) item["source"].expected("a mapping");
    out.from.push_back(read_source(item["source"], ns));
  }
  for (const Field& item : field["to"].items(kOperationsMax)) out.to.push_back(read_call(item, ns, egress));
  if (field["from"].present() && out.from.empty()) field["from"].expected("at least one source");
  if (field["to"].present() && out.to.empty()) field["to"].expected("at least one item");
  if (egress && field["from"].present()) {
    field["from"].refuse("expected to alone: with direction egress the selected pods call");
  }
  return out;
}

}  // namespace

model::AuthorizationPolicy read_authorization_policy(const Field& object) {
  model::AuthorizationPolicy policy;
  policy.name = read_metadata(object, NameRule::kDns1123Subdomain).name;
  const Field spec = object["spec"];
  if (!spec.present()) spec.expected("a mapping");
  spec.only({"selector", "action", "direction", "mode", "rules"});
  const Field selector = spec["selector"];
  selector.only({"matchLabels"});
  policy.selector = read_labels(selector["matchLabels"]);
  policy.action = static_cast<model::PolicyAction>(spec["action"].choice({"ALLOW", "DENY", "AUDIT"}, 0));
  policy.direction = static_cast<model::PolicyDirection>(spec["direction"].choice({"ingress", "egress"}, 0));
  policy.audit = spec["mode"].choice({"enforce", "audit"}, 0) == 1;
  for (const Field& item : spec["rules"].items(kRulesMax)) {
    policy.rules.push_back(read_rule(item, policy.name.ns, policy.direction == model::PolicyDirection::kEgress));
  }
  if (policy.rules.empty() && policy.action != model::PolicyAction::kAllow) {
    spec["rules"].expected("at least one rule: without one it would match nothing");
  }
  return policy;
}

}  // namespace cortexflow::source
