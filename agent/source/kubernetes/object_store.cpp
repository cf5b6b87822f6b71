// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/object_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/source/kubernetes/object_reading.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kKubernetesRefusalsMax = 1000;  // listed; the rest is counted

bool same_values(const std::vector<model::Object>& known, const std::vector<ReadDocument::Read>& read) {
  return std::equal(known.begin(), known.end(), read.begin(), read.end(),
                    [](const auto& one, const auto& other) { return model::same_value(one, other.object); });
}

}  // namespace

void ObjectStore::load() {
  auto* cache = std::exchange(cache_, nullptr);  // what comes from it need not go there
  cache->load(
      [this](const ObjectCache::Line& line, nlohmann::json& object) {
        put(line.resource, line.name, object, line.resource_version);
        const auto at = kinds_[line.resource].entries.find(line.name);
        if (at != kinds_[line.resource].entries.end()) at->second.cached_at = line.at;
      },
      [this](std::size_t resource, const model::ObjectName& name) { erase(resource, name); });
  cache_ = cache;
}

void ObjectStore::put(std::size_t resource, const model::ObjectName& name, nlohmann::json& object,
                      const std::string& version) {
  auto& kind = kinds_[resource];
  auto at = kind.entries.find(name);
  if (at == kind.entries.end()) {
    if (kind.entries.size() >= kObjectsMax) {
      ++kind.beyond_limit;
      changed_ = true;
      return;
    }
    at = kind.entries.emplace(name, Entry{}).first;
  } else if (!version.empty() && at->second.version == version) {
    at->second.list = kind.list;
    return;
  }
  auto& entry = at->second;
  entry.list = kind.list;
  entry.version = version;
  read(resource, name, object, entry);
  if (cache_) entry.cached_at = cache_->put(resource, name, version, object);
}

// What can't be read leaves what was read before.
void ObjectStore::read(std::size_t resource, const model::ObjectName& name, const nlohmann::json& object,
                       Entry& entry) {
  auto& kind = kinds_[resource];
  auto made = read_object(object, resources()[resource].kind, name);
  if (made.refusal) {
    Refused refused{std::move(*made.refusal), entry.objects.empty(), made.read.refused.front().outward};
    auto& known = kind.refused[name];
    changed_ = changed_ || known != refused;
    known = std::move(refused);
    return;
  }
  changed_ = kind.refused.erase(name) > 0 || changed_;
  if (same_values(entry.objects, made.read.objects)) return;
  changed_ = true;
  for (const auto& was : entry.objects) changes_[model::key_of(was)] = std::nullopt;
  entry.objects.clear();
  for (auto& one : made.read.objects) {
    changes_[model::key_of(one.object)] = one.object;
    entry.objects.push_back(std::move(one.object));
  }
}

void ObjectStore::drop(std::size_t resource, std::map<model::ObjectName, Entry>::iterator at) {
  auto& kind = kinds_[resource];
  for (const auto& object : at->second.objects) changes_[model::key_of(object)] = std::nullopt;
  changed_ = true;
  kind.refused.erase(at->first);
  if (cache_) cache_->erase(resource, at->first);
  kind.entries.erase(at);
}

void ObjectStore::erase(std::size_t resource, const model::ObjectName& name) {
  const auto at = kinds_[resource].entries.find(name);
  if (at != kinds_[resource].entries.end()) drop(resource, at);
}

void ObjectStore::end_list(std::size_t resource) {
  auto& kind = kinds_[resource];
  for (auto at = kind.entries.begin(); at != kind.entries.end();) {
    const auto next = std::next(at);
    if (at->second.list != kind.list) drop(resource, at);
    at = next;
  }
}

void ObjectStore::clear(std::size_t resource) {
  begin_list(resource);
  end_list(resource);
}

model::SourceUpdate ObjectStore::take() {
  model::SourceUpdate out;
  out.changes.reserve(changes_.size());
  for (auto& [key, object] : changes_) out.changes.push_back({key, std::move(object)});
  changes_.clear();
  changed_ = false;
  for (std::size_t resource = 0; resource < kinds_.size(); ++resource) {
    const auto& kind = kinds_[resource];
    const auto which = resources()[resource].kind;
    for (const auto& [name, refused] : kind.refused) {
      if (refused.never_read) out.unread.objects.insert({which, name});
      if (refused.never_read && refused.outward) out.unread.outward.insert({which, name});
      if (++out.refused <= kKubernetesRefusalsMax) out.refusals.push_back(refused.refusal);
    }
    if (kind.beyond_limit == 0) continue;
    ++out.refused;
    out.refusals.push_back(
        {kKubernetesSource, "", 0, std::string(model::kind_name(which)), "",
         fmt::format("expected no more than {} objects; {} are not used", kObjectsMax, kind.beyond_limit)});
  }
  return out;
}

void ObjectStore::flush() {
  if (!cache_) return;
  cache_->flush();
  std::size_t live = 0;
  for (const auto& kind : kinds_) live += kind.entries.size();
  if (!cache_->wants_rewrite(live)) return;
  std::vector<std::uint64_t*> places;
  places.reserve(live);
  for (auto& kind : kinds_) {
    for (auto& [name, entry] : kind.entries) places.push_back(&entry.cached_at);
  }
  cache_->rewrite(places);
}

}  // namespace cortexflow::source
