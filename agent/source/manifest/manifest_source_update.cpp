// SPDX-License-Identifier: Apache-2.0
// ManifestSource: what counts, among the files, and what is said about it.
#include <algorithm>

#include "agent/source/manifest/manifest_source.h"

namespace cortexflow::source {

std::size_t ManifestSource::hash_of(const model::ObjectKey& key) {
  const std::hash<std::string> hash;
  return (hash(key.name.ns) * 31 + hash(key.name.name)) * 31 + static_cast<std::size_t>(key.kind);
}

std::vector<const ManifestFile*> ManifestSource::candidates(const model::ObjectKey& key) const {
  std::vector<const ManifestFile*> found;
  const auto [first, last] = index_.equal_range(hash_of(key));
  for (auto at = first; at != last; ++at) found.push_back(at->second);
  std::sort(found.begin(), found.end(),
            [](const auto* a, const auto* b) { return a->path() != b->path() ? a->path() < b->path() : a < b; });
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<const ManifestFile*> ManifestSource::holders(const model::ObjectKey& key) const {
  auto found = candidates(key);
  std::erase_if(found, [&](const ManifestFile* file) { return !file->objects().contains(key); });
  return found;
}

std::optional<model::Object> ManifestSource::counts(const model::ObjectKey& key) const {
  const auto found = holders(key);
  if (found.empty()) return std::nullopt;
  return found.front()->objects().at(key).object;
}

std::optional<ManifestSource::Place> ManifestSource::place_of(const model::ObjectKey& key) const {
  const auto found = holders(key);
  if (found.empty()) return std::nullopt;
  return Place{found.front()->path(), found.front()->objects().at(key).line};
}

model::SourceUpdate ManifestSource::update(const Before& before) {
  model::SourceUpdate made;
  for (const auto& [key, was] : before) {
    auto now = counts(key);
    if (!was && !now) continue;
    if (was && now && model::same_value(*was, *now)) continue;
    made.changes.push_back({key, std::move(now)});
  }
  list_refusals(made);
  made.unread = unread();
  return made;
}

model::Unread ManifestSource::unread() const {
  model::Unread out;
  out.anything = !missing_.empty();
  for (const ManifestFile* file : noted_) {
    for (const auto& key : file->refused_keys()) {
      if (!key) {
        out.anything = true;
      } else if (holders(*key).empty()) {
        out.objects.insert(*key);
        if (file->outward().contains(*key)) out.outward.insert(*key);
      }
    }
  }
  return out;
}

void ManifestSource::list_refusals(model::SourceUpdate& update) const {
  const auto add = [&](model::Refusal refusal) {
    if (++update.refused > kRefusalsMax) return;
    refusal.source = kManifestSource;
    refusal.file = printable(refusal.file);
    update.refusals.push_back(std::move(refusal));
  };
  for (const auto& [directory, reason] : missing_) {
    const bool any = files_.lower_bound({directory, ""}) != files_.lower_bound({directory + 1, ""});
    add({"", watch_.directories()[directory], 0, "", "", any ? reason + "; its objects stay as they were" : reason});
  }
  if (!watch_.trouble().empty()) add({"", "", 0, "", "", watch_.trouble()});
  std::map<std::string, const ManifestFile*> by_path;
  for (const ManifestFile* file : noted_) by_path.emplace(file->path(), file);
  std::map<std::string, model::IgnoredKind> ignored;
  for (const auto& [path, file] : by_path) {
    for (const model::Refusal& refusal : file->refusals()) add(refusal);
    for (const ReadDocument::Ignored& one : file->ignored()) {
      auto& kind =
          ignored.try_emplace(one.kind, model::IgnoredKind{one.kind, 0, printable(path), one.line}).first->second;
      ++kind.documents;
    }
  }
  for (const model::ObjectKey& key : contested_) {
    const auto found = holders(key);
    for (std::size_t i = 1; i < found.size(); ++i) {
      add({"", found[i]->path(), found[i]->objects().at(key).line, key.to_string(), "",
           fmt::format("expected each object once; the one in {} counts", printable(found[0]->path()))});
    }
  }
  for (auto& [name, kind] : ignored) update.ignored.push_back(std::move(kind));
}

}  // namespace cortexflow::source
