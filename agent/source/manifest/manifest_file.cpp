// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/manifest_file.h"

#include <fmt/format.h>

#include <algorithm>

namespace cortexflow::source {
namespace {

constexpr const char* kKept = "; what it said before stays in use";

}  // namespace

ManifestFile::Objects ManifestFile::read(std::string_view text, Text state) {
  auto split = path_.ends_with(".json") ? split_json(text) : split_yaml(text);
  Objects before = std::move(objects_);
  Documents known = std::move(documents_);
  objects_.clear();
  documents_.clear();
  refusals_.clear();
  refused_keys_.clear();
  outward_.clear();
  ignored_.clear();
  if (split.size() > kFileDocumentsMax) {
    refusals_.push_back({"", path_, split[kFileDocumentsMax].line, "", "",
                         fmt::format("expected no more than {} documents; the rest is not used", kFileDocumentsMax)});
    refused_keys_.emplace_back();
    split.resize(kFileDocumentsMax);
  }
  for (const DocumentText& document : split) {
    const std::size_t hash = std::hash<std::string_view>{}(document.text);
    const auto [first, last] = known.equal_range(hash);
    const auto same =
        std::find_if(first, last, [&](const auto& one) { return one.second.octets == document.text.size(); });
    const auto held = same == last ? documents_.emplace(hash, Known{document.text.size(), read_document(document.text)})
                                   : documents_.insert(known.extract(same));
    place(held->second.read, document.line - 1);
  }
  if (state == Text::kUnfinished) {
    refusals_.push_back({"", path_, 0, "", "",
                         text.empty() ? "expected a file that is written; it is empty, and nobody has closed it"
                                      : "expected a file that is closed; somebody still has it open to write"});
    refused_keys_.emplace_back();
  }
  keep_last_good(before);
  return before;
}

void ManifestFile::place(const ReadDocument& document, std::uint32_t offset) {
  for (const ReadDocument::Read& read : document.objects) {
    const model::ObjectKey key = model::key_of(read.object);
    const auto [at, is_first] = objects_.try_emplace(key, Held{read.object, read.line + offset});
    if (is_first) continue;
    refusals_.push_back({"", path_, read.line + offset, key.to_string(), "",
                         fmt::format("expected each object once; the one in line {} counts", at->second.line)});
    refused_keys_.emplace_back(key);
  }
  for (const ReadDocument::Refused& refused : document.refused) {
    refusals_.push_back(
        {"", path_, refused.problem.line + offset, refused.object, refused.problem.field, refused.problem.reason});
    refused_keys_.push_back(refused.key);
    if (refused.key && refused.outward) outward_.insert(*refused.key);
  }
  for (const ReadDocument::Ignored& one : document.ignored) ignored_.push_back({one.kind, one.line + offset});
}

// A document that doesn't tell its object's name might be that of any object that is missing now.
void ManifestFile::keep_last_good(Objects& before) {
  const bool any_may_be_meant =
      std::find(refused_keys_.begin(), refused_keys_.end(), std::nullopt) != refused_keys_.end();
  bool kept_unnamed = false;
  if (any_may_be_meant) {
    for (const auto& [key, held] : before) {
      kept_unnamed |= objects_.try_emplace(key, Held{held.object, 0}).second;
    }
  }
  for (std::size_t i = 0; i < refusals_.size(); ++i) {
    const auto& key = refused_keys_[i];
    if (!key) {
      if (kept_unnamed) refusals_[i].reason += "; objects of this file that are missing now stay as they were";
      continue;
    }
    const auto was = before.find(*key);
    if (was == before.end()) continue;
    const auto [at, is_kept] = objects_.try_emplace(*key, Held{was->second.object, refusals_[i].line});
    if (is_kept || at->second.line == 0) refusals_[i].reason += kKept;
  }
}

void ManifestFile::refuse(std::string reason) {
  if (!objects_.empty()) reason += kKept;
  refusals_ = {{"", path_, 0, "", "", std::move(reason)}};
  refused_keys_ = {std::nullopt};
}

}  // namespace cortexflow::source
