// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/image.h"

#include <algorithm>
#include <unordered_set>

#include "agent/compile/shares.h"

namespace cortexflow::compile {
namespace {

bool all_different(const std::vector<std::uint32_t>& slots) {
  const std::unordered_set<std::uint32_t> seen(slots.begin(), slots.end());
  return seen.size() == slots.size();
}

TableImage place_table(const Slots& slots, const std::map<Backend, std::uint32_t>& backends, const TableImage* before,
                       Numbers& numbers) {
  TableImage table;
  table.number = before ? before->number : numbers.table++;
  std::vector<std::uint32_t> wanted;
  wanted.reserve(slots.size());
  for (const auto& backend : slots) wanted.push_back(backends.at(backend));
  table.slots = before ? keep_places(before->slots, wanted) : std::move(wanted);
  return table;
}

}  // namespace

std::uint16_t owner_of(const model::ObjectName& service) {
  const auto hash = fnv1a(service.ns + "/" + service.name);
  const auto folded = static_cast<std::uint16_t>(hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48);
  return folded == 0 ? 1 : folded;
}

Frontend frontend_of(const ServicePlan& plan, std::size_t index) {
  return {plan.frontends[index].first, plan.frontends[index].second, plan.protocol};
}

std::vector<std::uint32_t> keep_places(const std::vector<std::uint32_t>& before,
                                       const std::vector<std::uint32_t>& wanted) {
  if (!all_different(before) || !all_different(wanted)) return wanted;
  const std::unordered_set<std::uint32_t> staying(wanted.begin(), wanted.end());
  const std::unordered_set<std::uint32_t> there(before.begin(), before.end());
  std::vector<std::uint32_t> fresh;
  for (const auto backend : wanted) {
    if (!there.count(backend)) fresh.push_back(backend);
  }
  std::vector<std::uint32_t> after = before;
  std::size_t next_fresh = 0;
  for (std::size_t i = 0; i < after.size();) {
    if (staying.count(after[i])) {
      ++i;
    } else if (next_fresh < fresh.size()) {
      after[i++] = fresh[next_fresh++];
    } else {  // the last one comes here, and is looked at next
      after[i] = after.back();
      after.pop_back();
    }
  }
  after.insert(after.end(), fresh.begin() + static_cast<std::ptrdiff_t>(next_fresh), fresh.end());
  return after;
}

ServiceImage place(const ServicePlan& plan, const std::vector<Frontend>& frontends, const ServiceImage* before,
                   Numbers& numbers) {
  ServiceImage image;
  image.frontends = frontends;
  std::sort(image.frontends.begin(), image.frontends.end());
  image.owner = owner_of(plan.service);
  image.algorithm = plan.algorithm;
  image.affinity_s = plan.affinity_s;
  image.circuit_breaker = plan.circuit_breaker;
  image.protocol = plan.protocol;
  const auto number_of = [&](const Backend& backend) {
    if (image.backends.count(backend)) return;
    const auto known = before ? before->backends.find(backend) : std::map<Backend, std::uint32_t>::const_iterator{};
    image.backends[backend] = before && known != before->backends.end() ? known->second : numbers.backend++;
  };
  for (const auto& backend : plan.slots) number_of(backend);
  for (const auto& [version, slots] : plan.by_version) {
    for (const auto& backend : slots) number_of(backend);
  }
  for (const auto& [backend, reasons] : plan.avoided) {
    if (!reasons.contains(AvoidedBy::kDrain)) continue;
    number_of(backend);
    image.drained.insert(backend);
  }
  for (const auto& backend : plan.resting) {
    number_of(backend);
    image.drained.insert(backend);
  }
  for (const auto& backend : plan.probation) {
    if (image.backends.contains(backend)) image.probation.insert(backend);
  }
  image.table = place_table(plan.slots, image.backends, before ? &before->table : nullptr, numbers);
  for (const auto& [version, slots] : plan.by_version) {
    const auto key = fnv1a(version);
    const TableImage* had = nullptr;
    if (before) {
      if (const auto found = before->by_version.find(key); found != before->by_version.end()) had = &found->second;
    }
    image.by_version[key] = place_table(slots, image.backends, had, numbers);
  }
  return image;
}

}  // namespace cortexflow::compile
