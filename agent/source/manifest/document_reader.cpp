// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/document_reader.h"

#include <fmt/format.h>

#include "agent/source/manifest/field.h"
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/object_readers.h"
#include "agent/source/manifest/yaml_reader.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kListItemsMax = 200'000;

std::string_view api_version(model::Kind kind) {
  switch (kind) {
    case model::Kind::kEndpointSlice:
      return "discovery.k8s.io/v1";
    case model::Kind::kTrafficPolicy:
    case model::Kind::kDenyList:
    case model::Kind::kAuthorizationPolicy:
      return "cortexflow.io/v1alpha1";
    case model::Kind::kNetworkPolicy:
      return "networking.k8s.io/v1";
    default:
      return "v1";
  }
}

// "discovery.k8s.io/v1" -> "discovery.k8s.io"; the core group is "".
std::string_view group_of(std::string_view version) {
  const auto slash = version.find('/');
  return slash == std::string_view::npos ? "" : version.substr(0, slash);
}

model::Object read_object(model::Kind kind, const Field& object) {
  switch (kind) {
    case model::Kind::kService:
      return std::make_shared<const model::Service>(read_service(object));
    case model::Kind::kEndpointSlice:
      return std::make_shared<const model::EndpointSlice>(read_endpoint_slice(object));
    case model::Kind::kPod:
      return std::make_shared<const model::Pod>(read_pod(object));
    case model::Kind::kNamespace:
      return std::make_shared<const model::Namespace>(read_namespace(object));
    case model::Kind::kDenyList:
      return std::make_shared<const model::DenyList>(read_deny_list(object));
    case model::Kind::kAuthorizationPolicy:
      return std::make_shared<const model::AuthorizationPolicy>(read_authorization_policy(object));
    case model::Kind::kNetworkPolicy:
      return std::make_shared<const model::NetworkPolicy>(read_network_policy(object));
    case model::Kind::kNode:
      return std::make_shared<const model::Node>(read_node(object));
    case model::Kind::kTrafficPolicy:
      break;
  }
  return std::make_shared<const model::TrafficPolicy>(read_traffic_policy(object));
}

// As far as a document that is refused tells.
bool is_outward(model::Kind kind, const Value& root) {
  if (kind != model::Kind::kAuthorizationPolicy) return false;
  const auto* spec = root.find("spec");
  const auto* direction = spec ? spec->find("direction") : nullptr;
  return direction && direction->type != Value::Type::kNull && direction->text != "ingress";
}

void read_known(model::Kind kind, Document& document, ReadDocument& made) {
  model::Object object = read_object(kind, Field(document));
  if (!document.problem) {
    made.objects.push_back({std::move(object), document.root->line});
    return;
  }
  const bool namespaced =
      kind != model::Kind::kNamespace && kind != model::Kind::kDenyList && kind != model::Kind::kNode;
  const model::ObjectName name = peek_name(*document.root, namespaced);
  ReadDocument::Refused refused{std::move(*document.problem), std::string(model::kind_name(kind)), std::nullopt,
                                is_outward(kind, *document.root)};
  if (!name.name.empty()) {
    refused.key = model::ObjectKey{kind, name};
    refused.object = refused.key->to_string();
  }
  made.refused.push_back(std::move(refused));
}

void read_value(const Value& root, bool in_list, ReadDocument& made) {
  Document document{&root};
  const Field object(document);
  const std::string kind_text = object["kind"].required_text();
  const std::string version = object["apiVersion"].required_text();
  const auto kind = model::parse_kind(kind_text);
  if (document.problem) {
    made.refused.push_back({std::move(*document.problem), kind ? kind_text : "", std::nullopt, false});
  } else if (kind_text == "List" && version == "v1" && !in_list) {
    for (const Field& item : object["items"].items(kListItemsMax)) read_value(item.tree(), true, made);
    if (document.problem) made.refused.push_back({std::move(*document.problem), "List", std::nullopt, false});
  } else if (!kind || group_of(version) != group_of(api_version(*kind))) {
    made.ignored.push_back({printable(version + " " + kind_text), root.line});
  } else {
    if (version != api_version(*kind)) object["apiVersion"].expected(api_version(*kind));
    read_known(*kind, document, made);
  }
}

}  // namespace

ReadDocument read_document(std::string_view text) {
  auto tree = read_yaml({text, 1});
  if (tree) return read_tree(*tree);
  ReadDocument made;
  made.refused.push_back({std::move(tree.error()), "", std::nullopt, false});
  return made;
}

ReadDocument read_tree(const Value& root) {
  ReadDocument made;
  if (root.type != Value::Type::kNull) read_value(root, false, made);
  return made;
}

}  // namespace cortexflow::source
