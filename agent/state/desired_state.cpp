// SPDX-License-Identifier: Apache-2.0
#include "agent/state/desired_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace cortexflow::state {
namespace {

std::size_t hash_of(const model::ObjectName& name) {
  const std::hash<std::string> hash;
  return hash(name.ns) * 31 + hash(name.name);
}

template <typename T>
std::shared_ptr<const T> as(const std::optional<model::Object>& object) {
  return object ? std::get<std::shared_ptr<const T>>(*object) : nullptr;
}

// Takes `old` out of the list and puts `now` in, by name.  Either may be null.
template <typename T>
void exchange(std::vector<std::shared_ptr<const T>>& list, const std::shared_ptr<const T>& old,
              const std::shared_ptr<const T>& now) {
  if (old) std::erase(list, old);
  if (!now) return;
  const auto at = std::lower_bound(list.begin(), list.end(), now,
                                   [](const auto& one, const auto& other) { return one->name < other->name; });
  list.insert(at, now);
}

}  // namespace

DesiredState::DesiredState(std::vector<std::string> sources)
    : sources_(std::move(sources)), notes_(sources_.size()), snapshot_(std::make_shared<const Snapshot>()) {}

Update DesiredState::apply(std::size_t source, const model::SourceUpdate& update) {
  Touched touched;
  next_.generation = snapshot_->generation + 1;
  for (const model::Change& one : update.changes) change(source, one, touched);
  for (const model::ObjectName& service : touched.services) check_policies(service);
  notes_.at(source) = {update.refusals, update.ignored, update.refused};
  snapshot_ = std::make_shared<const Snapshot>(next_);
  return {snapshot_, std::move(touched)};
}

// Which source's object counts; set() is told when that changes.
void DesiredState::change(std::size_t source, const model::Change& change, Touched& touched) {
  if (sources_.size() == 1) return set(change.key, change.object, touched);
  auto& objects = shared_[change.key];
  if (change.object) {
    objects.insert_or_assign(source, *change.object);
  } else {
    objects.erase(source);
  }
  const auto first = objects.begin();
  set(change.key, first == objects.end() ? std::nullopt : std::optional(first->second), touched);
  if (objects.empty()) shared_.erase(change.key);
}

void DesiredState::set(const model::ObjectKey& key, const std::optional<model::Object>& object, Touched& touched) {
  switch (key.kind) {
    case model::Kind::kService: {
      const auto now = as<model::Service>(object);
      if (replace(next_.services, key.name, now) != now) touched.services.insert(key.name);
      return;
    }
    case model::Kind::kEndpointSlice:
      return set_slice(key.name, as<model::EndpointSlice>(object), touched);
    case model::Kind::kPod:
      return set_pod(key.name, as<model::Pod>(object), touched);
    case model::Kind::kNamespace: {
      const auto now = as<model::Namespace>(object);
      if (replace(next_.namespaces, key.name, now) != now) touched.namespaces.insert(key.name.name);
      return;
    }
    case model::Kind::kTrafficPolicy:
      return set_policy(key.name, as<model::TrafficPolicy>(object), touched);
    case model::Kind::kDenyList: {
      const auto now = as<model::DenyList>(object);
      if (replace(next_.deny_lists, key.name, now) != now) touched.deny_lists = true;
      return;
    }
    case model::Kind::kAuthorizationPolicy: {
      const auto now = as<model::AuthorizationPolicy>(object);
      if (replace(next_.authorization_policies, key.name, now) != now) touched.authorization_policies = true;
      return;
    }
    case model::Kind::kNetworkPolicy: {
      const auto now = as<model::NetworkPolicy>(object);
      if (replace(next_.network_policies, key.name, now) != now) touched.network_policies = true;
      return;
    }
    case model::Kind::kNode: {
      const auto now = as<model::Node>(object);
      if (replace(next_.nodes, key.name, now) != now) touched.nodes = true;
      return;
    }
  }
}

// Returns what was there.
template <typename T>
std::shared_ptr<const T> DesiredState::replace(PersistentMap<T>& map, const model::ObjectName& name,
                                               const std::shared_ptr<const T>& now) {
  auto old = map.find(name);
  if (old == now) return old;
  if (now) {
    map.put(now, next_.generation);
  } else {
    map.erase(name, next_.generation);
  }
  return old;
}

void DesiredState::set_slice(const model::ObjectName& name, const std::shared_ptr<const model::EndpointSlice>& now,
                             Touched& touched) {
  const auto old = replace(next_.slices, name, now);
  if (old == now) return;
  for (const auto& slice : {old, now}) {
    if (!slice) continue;
    if (!slice->service.empty()) touched.services.insert({name.ns, slice->service});
    for (const model::Endpoint& endpoint : slice->endpoints) {
      if (endpoint.pod.name.empty()) continue;
      const std::size_t hash = hash_of(endpoint.pod);
      if (slice == now) {
        by_pod_.emplace(hash, now.get());
        continue;
      }
      const auto [first, last] = by_pod_.equal_range(hash);
      const auto at = std::find_if(first, last, [&](const auto& entry) { return entry.second == old.get(); });
      if (at != last) by_pod_.erase(at);
    }
  }
  const bool same_service = old && now && old->service == now->service;
  if (old && !old->service.empty()) {
    edit_parts({name.ns, old->service},
               [&](ServiceParts& parts) { exchange(parts.slices, old, same_service ? now : nullptr); });
  }
  if (now && !now->service.empty() && !same_service) {
    edit_parts({name.ns, now->service}, [&](ServiceParts& parts) { exchange(parts.slices, {}, now); });
  }
}

void DesiredState::set_policy(const model::ObjectName& name, const std::shared_ptr<const model::TrafficPolicy>& now,
                              Touched& touched) {
  const auto old = replace(next_.policies, name, now);
  if (old == now) return;
  std::set<std::string> services;
  for (const auto& policy : {old, now}) {
    if (policy) services.insert(policy->services.begin(), policy->services.end());
  }
  for (const std::string& service : services) {
    const bool stays = now && std::find(now->services.begin(), now->services.end(), service) != now->services.end();
    edit_parts({name.ns, service}, [&](ServiceParts& parts) { exchange(parts.policies, old, stays ? now : nullptr); });
    touched.services.insert({name.ns, service});
  }
}

void DesiredState::set_pod(const model::ObjectName& name, const std::shared_ptr<const model::Pod>& now,
                           Touched& touched) {
  if (replace(next_.pods, name, now) == now) return;
  touched.pods.insert(name);
  const auto [first, last] = by_pod_.equal_range(hash_of(name));
  for (auto at = first; at != last; ++at) {  // of another pod with that hash: touched for nothing, which does no harm
    const model::EndpointSlice& slice = *at->second;
    if (!slice.service.empty()) touched.services.insert({slice.name.ns, slice.service});
  }
}

template <typename Edit>
void DesiredState::edit_parts(const model::ObjectName& service, const Edit& edit) {
  const auto old = next_.parts.find(service);
  ServiceParts parts = old ? *old : ServiceParts{service, {}, {}};
  edit(parts);
  if (parts.slices.empty() && parts.policies.empty()) {
    next_.parts.erase(service, next_.generation);
  } else {
    next_.parts.put(std::make_shared<const ServiceParts>(std::move(parts)), next_.generation);
  }
}

void DesiredState::check_policies(const model::ObjectName& service) {
  policy_refusals_.erase(service);
  const auto parts = next_.parts.find(service);
  if (!parts || parts->policies.empty()) return;
  const std::string target = model::ObjectKey{model::Kind::kService, service}.to_string();
  const bool exists = next_.services.find(service) != nullptr;
  for (const auto& policy : parts->policies) {
    const bool counts = policy == parts->policies.front();
    if (counts && exists) continue;
    const std::string reason = counts
                                   ? fmt::format("there is no {}", target)
                                   : fmt::format("{} has the policy {} already", target, parts->policies[0]->name.name);
    policy_refusals_[service].push_back({"", "", 0,
                                         model::ObjectKey{model::Kind::kTrafficPolicy, policy->name}.to_string(),
                                         "spec.targetRefs", reason});
  }
}

std::vector<std::size_t> DesiredState::sources_of(const model::ObjectKey& key) const {
  std::vector<std::size_t> out;
  const auto found = shared_.find(key);
  if (found == shared_.end()) return out;
  for (const auto& [source, object] : found->second) out.push_back(source);
  return out;
}

std::vector<model::Refusal> DesiredState::refusals() const {
  std::vector<model::Refusal> all;
  for (const Notes& notes : notes_) all.insert(all.end(), notes.refusals.begin(), notes.refusals.end());
  for (const auto& [key, objects] : shared_) {
    for (auto at = std::next(objects.begin()); at != objects.end(); ++at) {
      all.push_back({sources_[at->first], "", 0, key.to_string(), "",
                     fmt::format("expected each object once; that of the source {} counts, not that of the source {}",
                                 sources_[objects.begin()->first], sources_[at->first])});
    }
  }
  for (const auto& [service, refusals] : policy_refusals_) all.insert(all.end(), refusals.begin(), refusals.end());
  return all;
}

std::uint64_t DesiredState::refused() const { return refusals().size() + unlisted(); }

std::uint64_t DesiredState::unlisted() const {
  std::uint64_t hidden = 0;
  for (const Notes& notes : notes_) hidden += notes.refused - notes.refusals.size();
  return hidden;
}

std::vector<model::IgnoredKind> DesiredState::ignored() const {
  std::vector<model::IgnoredKind> all;
  for (const Notes& notes : notes_) all.insert(all.end(), notes.ignored.begin(), notes.ignored.end());
  return all;
}

}  // namespace cortexflow::state
