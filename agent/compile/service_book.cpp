// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/service_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace cortexflow::compile {
namespace {

PortKey key_of(const ServicePlan& plan) {
  return {plan.service, plan.port_name, plan.protocol, plan.frontends.front().first.is_v4()};
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

std::uint32_t ServiceBook::claim_number(const ServicePlan& plan, ServiceImage& adopted, bool& was_adopted) {
  was_adopted = false;
  for (std::size_t i = 0; i < plan.frontends.size(); ++i) {
    const auto found = unclaimed_frontends_.find(frontend_of(plan, i));
    if (found == unclaimed_frontends_.end()) continue;
    const auto number = found->second;
    adopted = std::move(unclaimed_.at(number));
    unclaimed_.erase(number);
    std::erase_if(unclaimed_frontends_, [&](const auto& item) { return item.second == number; });
    was_adopted = true;
    return number;
  }
  return numbers_.service++;
}

void ServiceBook::put(const PortKey& key, const ServicePlan& plan, Changes& changes, std::set<PortKey>& waiting) {
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    found = entries_.emplace(key, Entry{}).first;
    found->second.number = claim_number(plan, found->second.image, found->second.placed);
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
    const auto owner = owners_.find(frontend);
    if (owner == owners_.end() || owner->second == key) {
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
    for (const auto& frontend : before.frontends) owners_.emplace(frontend, key);  // an adopted one's
    return;
  }
  refused_.erase(key);
  usage_ = usage;
  entry.image = std::move(image);
  entry.placed = true;
  for (const auto& frontend : wanted) owners_[frontend] = key;
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
    for (auto it = entries_.lower_bound(PortKey{name, "", model::Protocol{}, false});
         it != entries_.end() && it->first.service == name; ++it) {
      if (!stay.count(it->first)) gone.push_back(it->first);
    }
    for (const auto& key : gone) release(key, changes, waiting);
  }
  for (const auto& [name, plans] : changed) {
    for (const auto& plan : plans) put(key_of(plan), plan, changes, waiting);
  }
  // What was given up may be what a refused one lacked.
  if (!changed.empty()) waiting.insert(refused_.begin(), refused_.end());
  while (!waiting.empty()) {
    const auto key = waiting.extract(waiting.begin()).value();
    put(key, ServicePlan(entries_.at(key).plan), changes, waiting);
  }
  return finish(changes);
}

std::vector<Operation> ServiceBook::drop_unclaimed() {
  std::vector<Step> steps;
  steps.reserve(unclaimed_.size());
  for (const auto& [number, image] : unclaimed_) steps.push_back({number, &image, nullptr});
  auto out = operations(steps);
  // A claimed service has written over these: they are its own now.
  std::erase_if(out, [&](const Operation& operation) {
    if (operation.map != Map::kFrontends) return false;
    cf_svc_address key{};
    operation.key.copy(reinterpret_cast<char*>(&key), sizeof key);
    return owners_.count(from_abi(key)) > 0;
  });
  for (const auto& [number, image] : unclaimed_) usage_ = exchanged(usage_, usage_of(image), {});
  unclaimed_.clear();
  unclaimed_frontends_.clear();
  return out;
}

}  // namespace cortexflow::compile
