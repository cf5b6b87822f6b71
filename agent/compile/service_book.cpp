// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/service_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <utility>

namespace cortexflow::compile {
namespace {

PortKey key_of(const ServicePlan& plan) {
  return {plan.service, plan.port, plan.protocol, plan.frontends.front().first.is_v4()};
}

Usage usage_of(const ServiceImage& image) {
  Usage usage{image.frontends.size(), 1, image.by_version.size(), image.table.slots.size(), image.backends.size()};
  for (const auto& [version, table] : image.by_version) usage.slots += table.slots.size();
  return usage;
}

// `a` with `plus` in the place of `minus`; never below 0, as `minus` is in `a`.
Usage exchanged(const Usage& a, const Usage& minus, const Usage& plus) {
  return {a.frontends - minus.frontends + plus.frontends, a.services - minus.services + plus.services,
          a.subsets - minus.subsets + plus.subsets, a.slots - minus.slots + plus.slots,
          a.backends - minus.backends + plus.backends};
}

// What doesn't say when it was made counts as newer than what does.
bool is_older(const ServicePlan& one, const ServicePlan& other) {
  return one.created && (!other.created || *one.created < *other.created);
}

// The first table that is too small, in words; empty if none is.
std::string overflow(const Usage& usage, const Usage& limits) {
  const auto over = [](const char* what, std::size_t n, std::size_t max) {
    return n > max ? fmt::format("{} {} would be in use, {} are possible", n, what, max) : std::string();
  };
  for (auto words : {over("frontends", usage.frontends, limits.frontends),
                     over("services", usage.services, limits.services), over("subsets", usage.subsets, limits.subsets),
                     over("slots", usage.slots, limits.slots), over("backends", usage.backends, limits.backends)}) {
    if (!words.empty()) return words;
  }
  return {};
}

}  // namespace

ServiceBook::ServiceBook(Adopted adopted, Usage limits)
    : unclaimed_(std::move(adopted.images)), numbers_(adopted.numbers), limits_(limits) {
  for (const auto& [number, image] : unclaimed_) usage_ = exchanged(usage_, {}, usage_of(image));
  for (const auto& [number, image] : unclaimed_) {
    for (const auto& frontend : image.frontends) unclaimed_frontends_[frontend] = number;
  }
}

void ServiceBook::remember(Changes& changes, std::uint32_t number, const ServiceImage* image) const {
  if (changes.count(number)) return;
  changes[number] = image ? Before{true, *image} : Before{};
}

void ServiceBook::free_frontend(const Frontend& frontend, std::set<PortKey>& waiting) {
  owners_.erase(frontend);
  const auto found = contenders_.find(frontend);
  if (found != contenders_.end()) waiting.insert(found->second.begin(), found->second.end());
}

void ServiceBook::stop_contending(const PortKey& key, Entry& entry) {
  for (const auto& frontend : entry.contested) {
    const auto found = contenders_.find(frontend);
    found->second.erase(key);
    if (found->second.empty()) contenders_.erase(found);
  }
  entry.contested.clear();
}

void ServiceBook::release(const PortKey& key, Changes& changes, std::set<PortKey>& waiting) {
  const auto found = entries_.find(key);
  Entry& entry = found->second;
  remember(changes, entry.number, entry.placed ? &entry.image : nullptr);
  by_number_.erase(entry.number);
  stop_contending(key, entry);
  if (entry.placed) {
    for (const auto& frontend : entry.image.frontends) free_frontend(frontend, waiting);
    usage_ = exchanged(usage_, usage_of(entry.image), {});
  }
  entries_.erase(found);
  refused_.erase(key);
  waiting.erase(key);
}

// By a frontend, unless it is known to be another service's.
std::optional<std::uint32_t> ServiceBook::find_unclaimed(const ServicePlan& plan) const {
  const auto own = owner_of(plan.service);
  for (std::size_t i = 0; i < plan.frontends.size(); ++i) {
    const auto found = unclaimed_frontends_.find(frontend_of(plan, i));
    if (found == unclaimed_frontends_.end()) continue;
    const auto owner = unclaimed_.at(found->second).owner;
    if (owner == own || owner == 0) return found->second;
  }
  return std::nullopt;
}

bool ServiceBook::is_held(const ServicePlan& plan) const {
  if (!incomplete_ || entries_.contains(key_of(plan)) || !incomplete_(plan.service)) return false;
  const auto number = find_unclaimed(plan);
  if (!number) return false;
  auto before = unclaimed_.at(*number);
  before.owner = owner_of(plan.service);
  std::vector<Frontend> wanted;
  wanted.reserve(plan.frontends.size());
  for (std::size_t i = 0; i < plan.frontends.size(); ++i) wanted.push_back(frontend_of(plan, i));
  auto numbers = numbers_;  // of no effect
  return place(plan, wanted, &before, numbers) != before;
}

void ServiceBook::claim(std::uint32_t number, const PortKey& key, Entry& entry) {
  entry.number = number;
  entry.image = std::move(unclaimed_.at(number));
  entry.placed = true;
  unclaimed_.erase(number);
  for (const auto& frontend : entry.image.frontends) {
    unclaimed_frontends_.erase(frontend);
    owners_.emplace(frontend, key);
  }
}

const PortKey* ServiceBook::holder(const Frontend& frontend) const {
  const auto owner = owners_.find(frontend);
  return owner == owners_.end() ? nullptr : &owner->second;
}

bool ServiceBook::has_as_cluster_ip(const PortKey& key, const Frontend& frontend) const {
  const auto& plan = entries_.at(key).plan;
  for (std::size_t i = 0; i < plan.frontends.size(); ++i) {
    if (frontend_of(plan, i) == frontend) return i < plan.cluster_frontends;
  }
  return true;  // as its image has it: it is not known how
}

bool ServiceBook::may_have(const PortKey& key, const Frontend& frontend, bool as_cluster_ip) const {
  const auto* has = holder(frontend);
  if (!has) return !unclaimed_frontends_.contains(frontend);
  return *has == key || (as_cluster_ip && !has_as_cluster_ip(*has, frontend));
}

void ServiceBook::put(const PortKey& key, const ServicePlan& plan, Changes& changes, std::set<PortKey>& waiting) {
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    found = entries_.emplace(key, Entry{}).first;
    if (const auto number = find_unclaimed(plan)) {
      claim(*number, key, found->second);
    } else {
      found->second.number = numbers_.service++;
    }
    by_number_[found->second.number] = key;
  }
  Entry& entry = found->second;
  const bool there = entry.placed;
  const ServiceImage before = entry.image;
  remember(changes, entry.number, there ? &before : nullptr);
  stop_contending(key, entry);
  std::vector<Frontend> wanted;
  for (std::size_t i = 0; i < plan.frontends.size(); ++i) {
    const auto frontend = frontend_of(plan, i);
    if (may_have(key, frontend, i < plan.cluster_frontends)) {
      wanted.push_back(frontend);
    } else {
      entry.contested.push_back(frontend);
      contenders_[frontend].insert(key);
    }
  }
  entry.plan = plan;
  auto image = place(plan, wanted, there ? &before : nullptr, numbers_);
  const auto usage = exchanged(usage_, there ? usage_of(before) : Usage{}, usage_of(image));
  entry.refusal = overflow(usage, limits_);
  if (!entry.refusal.empty()) {
    refused_.insert(key);
    return;
  }
  refused_.erase(key);
  usage_ = usage;
  entry.image = std::move(image);
  entry.placed = true;
  for (const auto& frontend : wanted) {
    const auto* has = holder(frontend);
    if (has && *has != key) waiting.insert(*has);  // it goes on without
    owners_[frontend] = key;
  }
  for (const auto& frontend : before.frontends) {
    if (std::find(wanted.begin(), wanted.end(), frontend) != wanted.end()) continue;
    const auto owner = owners_.find(frontend);
    if (owner != owners_.end() && owner->second == key) free_frontend(frontend, waiting);
  }
}

const Entry* ServiceBook::find(std::uint32_t number) const {
  const auto key = by_number_.find(number);
  return key == by_number_.end() ? nullptr : &entries_.at(key->second);
}

std::vector<Operation> ServiceBook::finish(const Changes& changes) const {
  std::vector<Step> steps;
  for (const auto& [number, before] : changes) {
    const Entry* entry = find(number);
    steps.push_back({number, before.there ? &before.image : nullptr, entry && entry->placed ? &entry->image : nullptr});
  }
  std::erase_if(steps, [](const Step& step) { return !step.before && !step.after; });
  return operations(steps);
}

std::vector<Operation> ServiceBook::update(const std::map<model::ObjectName, std::vector<ServicePlan>>& changed) {
  Changes changes;
  std::set<PortKey> waiting;
  for (const auto& [name, plans] : changed) {
    std::set<PortKey> stay;
    for (const auto& plan : plans) stay.insert(key_of(plan));
    std::vector<PortKey> gone;
    for (auto it = entries_.lower_bound(first_port(name)); it != entries_.end() && it->first.service == name; ++it) {
      if (!stay.count(it->first)) gone.push_back(it->first);
    }
    for (const auto& key : gone) release(key, changes, waiting);
  }
  std::list<const ServicePlan*> in_order;  // whose sort() is stable
  for (const auto& [name, plans] : changed) {
    held_.erase(name);
    for (const auto& plan : plans) in_order.push_back(&plan);
  }
  in_order.sort([](const auto* one, const auto* other) { return is_older(*one, *other); });
  for (const auto* plan : in_order) {
    if (is_held(*plan)) {
      held_.insert(plan->service);
    } else {
      put(key_of(*plan), *plan, changes, waiting);
    }
  }
  // What was given up may be what a refused one lacked.
  if (!changed.empty()) waiting.insert(refused_.begin(), refused_.end());
  put_waiting(changes, waiting);
  return finish(changes);
}

void ServiceBook::put_waiting(Changes& changes, std::set<PortKey>& waiting) {
  while (!waiting.empty()) {
    std::list<PortKey> now(waiting.begin(), waiting.end());
    waiting.clear();
    now.sort([this](const auto& one, const auto& other) {
      return is_older(entries_.at(one).plan, entries_.at(other).plan);
    });
    for (const auto& key : now) put(key, ServicePlan(entries_.at(key).plan), changes, waiting);
  }
}

std::vector<Operation> ServiceBook::drop_unclaimed(const std::set<std::uint16_t>& stay) {
  Changes changes;
  std::set<PortKey> waiting(refused_);
  for (auto at = unclaimed_.begin(); at != unclaimed_.end();) {
    const auto& [number, image] = *at;
    if (stay.contains(image.owner)) {
      ++at;
      continue;
    }
    remember(changes, number, &image);
    usage_ = exchanged(usage_, usage_of(image), {});
    for (const auto& frontend : image.frontends) {
      unclaimed_frontends_.erase(frontend);
      free_frontend(frontend, waiting);
    }
    at = unclaimed_.erase(at);
  }
  put_waiting(changes, waiting);
  return finish(changes);
}

}  // namespace cortexflow::compile
