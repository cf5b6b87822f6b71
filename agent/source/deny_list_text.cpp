// SPDX-License-Identifier: Apache-2.0
#include "agent/source/deny_list_text.h"

#include <nlohmann/json.hpp>

#include "agent/model/time_text.h"
#include "agent/source/manifest/document_reader.h"
#include "agent/source/manifest/document_split.h"
#include "agent/source/manifest/file_text.h"

namespace cortexflow::source {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kOctetsMax = 16U << 20U;
constexpr const char* kName = "operator";
constexpr std::string_view kEntryField = "spec.entries[0].";

ordered_json document_of(ordered_json entries, const std::string& name = kName) {
  return {{"apiVersion", "cortexflow.io/v1alpha1"},
          {"kind", "DenyList"},
          {"metadata", {{"name", name}}},
          {"spec", {{"entries", std::move(entries)}}}};
}

Result<model::DenyList> parse(std::string_view text) {
  const auto read = read_document(text);
  if (!read.refused.empty()) {
    const auto& problem = read.refused.front().problem;
    std::string_view field = problem.field;
    if (field.starts_with(kEntryField)) field.remove_prefix(kEntryField.size());
    return fail("{}{}{}", field, field.empty() ? "" : ": ", problem.reason);
  }
  if (read.objects.size() != 1) return fail("expected one DenyList");
  const auto* list = std::get_if<std::shared_ptr<const model::DenyList>>(&read.objects.front().object);
  if (!list) return fail("expected one DenyList");
  return **list;
}

}  // namespace

Result<model::DenyEntry> parse_deny_entry(std::string_view json) {
  auto entry = ordered_json::parse(json, nullptr, false);
  if (!entry.is_object()) return fail("expected a JSON object with cidr");
  auto list = parse(document_of(ordered_json::array({std::move(entry)}))
                        .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  if (!list) return tl::make_unexpected(std::move(list.error()));
  return std::move(list->entries.front());
}

std::string deny_list_text(const model::DenyList& list) {
  auto entries = ordered_json::array();
  for (const auto& entry : list.entries) {
    ordered_json item{{"cidr", entry.cidr()}};
    if (!entry.ports.empty()) item["ports"] = entry.ports;
    // Defaults left out, it has no more values than the document that it was read from: it can be read again.
    if (!entry.in || entry.out) item["direction"] = direction_name(entry);
    if (entry.audit) item["mode"] = mode_name(entry);
    if (entry.expires) item["expires"] = model::time_text(*entry.expires);
    entries.push_back(std::move(item));
  }
  return document_of(std::move(entries), list.name.name.empty() ? kName : list.name.name).dump(1) + "\n";
}

Result<model::DenyList> read_deny_list_file(const std::string& path) {
  auto text = read_text(path, kOctetsMax);
  if (!text) return tl::make_unexpected(std::move(text.error()).wrap(path));
  if (!*text) return model::DenyList{{"", kName}, {}};
  auto list = parse(**text);
  if (!list) return tl::make_unexpected(std::move(list.error()).wrap(path));
  return list;
}

Result<std::vector<model::DenyList>> read_deny_lists_file(const std::string& path) {
  auto text = read_text(path, kDenyListsOctetsMax);
  if (!text) return tl::make_unexpected(std::move(text.error()).wrap(path));
  std::vector<model::DenyList> out;
  if (!*text) return out;
  for (const auto& document : split_json(**text)) {
    auto list = parse(document.text);
    if (!list) return tl::make_unexpected(std::move(list.error()).wrap(fmt::format("{}:{}", path, document.line)));
    out.push_back(std::move(*list));
  }
  return out;
}

std::string direction_name(const model::DenyEntry& entry) {
  return entry.in && entry.out ? "Both" : entry.in ? "In" : "Out";
}

std::string mode_name(const model::DenyEntry& entry) { return entry.audit ? "Audit" : "Enforce"; }

}  // namespace cortexflow::source
