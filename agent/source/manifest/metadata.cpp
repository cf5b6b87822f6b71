// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/metadata.h"

#include "agent/source/manifest/names.h"

namespace cortexflow::source {
namespace {

void check_name(const Field& name, const std::string& text, NameRule rule) {
  switch (rule) {
    case NameRule::kDns1035Label:
      if (!is_dns1035_label(text)) name.expected("up to 63 of a-z, 0-9 and -, a letter first, no - last");
      return;
    case NameRule::kDns1123Label:
      if (!is_dns1123_label(text)) name.expected("up to 63 of a-z, 0-9 and -, no - first or last");
      return;
    case NameRule::kDns1123Subdomain:
      if (!is_dns1123_subdomain(text))
        name.expected("up to 253 of a-z, 0-9, - and ., each part without - first or last");
      return;
  }
}

std::string peek(const Value& holder, std::string_view key) {
  const Value* value = holder.find(key);
  return value && value->type == Value::Type::kString ? value->text : "";
}

}  // namespace

Metadata read_metadata(const Field& object, NameRule rule, bool namespaced) {
  const Field metadata = object["metadata"];
  Metadata made;
  const Field name = metadata["name"];
  made.name.name = name.required_text();
  check_name(name, made.name.name, rule);
  if (namespaced) {
    const Field ns = metadata["namespace"];
    made.name.ns = ns.text(kDefaultNamespace);
    if (made.name.ns.empty()) made.name.ns = kDefaultNamespace;
    check_name(ns, made.name.ns, NameRule::kDns1123Label);
  }
  made.labels = read_labels(metadata["labels"]);
  return made;
}

model::Labels read_labels(const Field& labels) {
  model::Labels made;
  for (const Field& label : labels.entries(kLabelsMax)) {
    if (!is_label_key(label.key())) {
      label.refuse("expected a label's key, [prefix/]name of up to 63 letters, digits, -, _ and ., found " +
                   quoted(label.key()));
    }
    std::string value = label.text();
    if (!is_label_value(value)) label.expected("a label's value, up to 63 letters, digits, -, _ and .");
    made.emplace(label.key(), std::move(value));
  }
  return made;
}

model::ObjectName peek_name(const Value& root, bool namespaced) {
  const Value* metadata = root.find("metadata");
  if (!metadata) return {};
  model::ObjectName name{"", peek(*metadata, "name")};
  if (!is_dns1123_subdomain(name.name)) return {};
  if (namespaced) {
    name.ns = peek(*metadata, "namespace");
    if (name.ns.empty()) name.ns = kDefaultNamespace;
    if (!is_dns1123_label(name.ns)) return {};
  }
  return name;
}

}  // namespace cortexflow::source
