// SPDX-License-Identifier: Apache-2.0
#include "agent/source/policy_documents.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/source/manifest/document_reader.h"
#include "agent/source/manifest/yaml_reader.h"

namespace cortexflow::source {
namespace {

std::string json_string(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// YAML's flow style: what was written without quotes has none again, so that it is of the same type.
std::string flow_text(const Value& value) {
  if (value.type == Value::Type::kNull) return "null";
  if (value.type == Value::Type::kString) return json_string(value.text);
  if (value.type != Value::Type::kList && value.type != Value::Type::kMap) return value.text;
  const bool map = value.type == Value::Type::kMap;
  std::string out(1, map ? '{' : '[');
  for (const auto& item : value.items) {
    if (out.size() > 1) out += ", ";
    if (map) out += json_string(item.key) + ": ";
    out += flow_text(item);
  }
  return out + (map ? '}' : ']');
}

bool is_list(const Value& root) {
  const auto* kind = root.find("kind");
  const auto* items = root.find("items");
  return kind && kind->text == "List" && items && items->type == Value::Type::kList;
}

// Octets that YAML takes in no other way than the operator's might not: then it would be lost with the next start.
bool reads_again(const std::string& text, const model::Object& object) {
  const auto read = read_document(text);
  return read.objects.size() == 1 && model::same_value(read.objects.front().object, object);
}

class PolicyReading {
 public:
  void read(const DocumentText& document) {
    offset_ = document.line - 1;
    auto tree = read_yaml({document.text, 1});
    if (!tree) {
      refuse(tree.error().line, "", tree.error().field, tree.error().reason, std::nullopt);
    } else if (!is_list(*tree)) {
      take(*tree);
    } else {
      for (const auto& item : tree->find("items")->items) take(item);
    }
  }
  [[nodiscard]] PolicyDocuments result() { return std::move(out_); }

 private:
  void refuse(std::uint32_t line, const std::string& object, const std::string& field, const std::string& reason,
              const std::optional<model::ObjectKey>& key) {
    out_.refusals.push_back({kOperatorSource, "", line + offset_, object, field, reason});
    if (key) {
      out_.unread.objects.insert(*key);
    } else {
      out_.unread.anything = true;
    }
  }

  void take(const Value& root) {
    auto read = read_tree(root);
    for (const auto& one : read.refused) {
      refuse(one.problem.line, one.object, one.problem.field, one.problem.reason, one.key);
      if (one.key && one.outward) out_.unread.outward.insert(*one.key);
    }
    for (const auto& one : read.ignored) refuse(one.line, one.kind, "", kExpected, std::nullopt);
    for (auto& one : read.objects) {
      const auto key = model::key_of(one.object);
      auto written = flow_text(root);
      if (key.kind != model::Kind::kAuthorizationPolicy && key.kind != model::Kind::kNetworkPolicy) {
        refuse(one.line, key.to_string(), "", kExpected, std::nullopt);
      } else if (!reads_again(written, one.object)) {
        refuse(one.line, key.to_string(), "", "it has characters that can't be kept", key);
      } else if (!out_.documents.try_emplace(key, PolicyDocument{std::move(one.object), std::move(written)}).second) {
        refuse(one.line, key.to_string(), "", "expected each object once", key);
      }
    }
  }

  static constexpr const char* kExpected = "expected an AuthorizationPolicy or a NetworkPolicy";
  PolicyDocuments out_;
  std::uint32_t offset_ = 0;
};

}  // namespace

PolicyDocuments read_policy_documents(std::string_view text) {
  PolicyReading reading;
  const auto first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string_view::npos && text[first] == '{';
  for (const auto& document : json ? split_json(text) : split_yaml(text)) reading.read(document);
  return reading.result();
}

std::string policy_documents_text(const std::map<model::ObjectKey, PolicyDocument>& documents) {
  std::string out = "# The operator's policies: cfcli policy apply and delete write this file.\n";
  for (const auto& [key, document] : documents) out += "---\n" + document.text + "\n";
  return out;
}

}  // namespace cortexflow::source
