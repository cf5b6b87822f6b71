// SPDX-License-Identifier: Apache-2.0
// Services: who is kept out at the edge, by DenyLists, by those of them that can't be read any more, by the operator.
#include <spdlog/spdlog.h>

#include "agent/operator_request.h"
#include "agent/services.h"
#include "agent/source/deny_list_text.h"
#include "agent/state/incomplete.h"

namespace cortexflow {
namespace {

constexpr std::size_t kOperatorEntriesMax = 10'000;

control::DenyRow row_of(const model::DenyEntry& entry, const std::string& origin) {
  return {entry.cidr(), entry.ports, source::direction_name(entry), source::mode_name(entry), entry.expires, origin};
}

}  // namespace

// Read where it is needed: it may be large.
void Services::recall_deny() {
  deny_recalled_ = true;
  if (!unread_) return;
  auto known = deny_memory_.recall();
  if (known) {
    held_deny_ = std::move(*known);
    return;
  }
  deny_failure_ = fmt::format("DenyLists of before, which would stand in for broken ones, are not known: {}",
                              known.error().to_string());
  spdlog::error("edge: {}", deny_failure_);
}

// Once an update is in the desired state, and it is known what can't be read.
void Services::settle_deny(bool changed) {
  const auto& lists = desired_.snapshot()->deny_lists;
  if (!deny_recalled_) {
    recall_deny();
    changed = changed || !held_deny_.empty();
  }
  const auto gone = std::erase_if(held_deny_, [&](const auto& one) {
    const model::ObjectKey key{model::Kind::kDenyList, one.second->name};
    return !unread_ || !state::is_unread(*unread_, key) || lists.find(key.name);
  });
  std::string words;
  if (!held_deny_.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, list] : held_deny_) names.push_back(name);
    words = fmt::format("DenyLists that can't be read stay in force as they last could be: {}", fmt::join(names, ", "));
    if (words != held_deny_words_) spdlog::warn("edge: {}; see cfcli service list", words);
  }
  held_deny_words_ = std::move(words);
  if (!changed && gone == 0) return;
  update_deny();
  auto all = held_deny_;
  lists.for_each([&](const auto& list) { all.emplace(list->name.name, list); });
  deny_to_keep_ = std::move(all);
}

// The disk works while nobody holds the lock.
void Services::keep_deny() {
  std::optional<DenyMemory::Lists> lists;
  {
    const std::lock_guard lock(mutex_);
    lists.swap(deny_to_keep_);
  }
  if (!lists) return;
  auto kept = deny_memory_.keep(*lists);
  const std::lock_guard lock(mutex_);
  deny_failure_.clear();
  if (kept) return;
  deny_failure_ =
      fmt::format("a DenyList that is broken at the next start would not be in force: {}", kept.error().to_string());
  spdlog::error("edge: {}", deny_failure_);
}

// The operator's come last: they are the newest.
void Services::update_deny() {
  if (!edge_) return;
  std::vector<model::DenyEntry> entries;
  const auto add = [&](const model::DenyList& list) {
    entries.insert(entries.end(), list.entries.begin(), list.entries.end());
  };
  for (const auto& [name, list] : held_deny_) add(*list);
  desired_.snapshot()->deny_lists.for_each([&](const auto& list) { add(*list); });
  add(deny_book_.list());
  edge_->deny(std::move(entries));
}

control::Answer<control::DenyView> Services::deny_list() const {
  control::DenyView out;
  const auto now = std::chrono::system_clock::now();
  const std::lock_guard lock(mutex_);
  const auto add = [&](const model::DenyList& list, const std::string& origin) {
    for (const auto& entry : list.entries) {
      if (!entry.expires || *entry.expires > now) out.entries.push_back(row_of(entry, origin));
    }
  };
  for (const auto& [name, list] : held_deny_) add(*list, fmt::format("DenyList {}, as it last could be read", name));
  desired_.snapshot()->deny_lists.for_each([&](const auto& list) { add(*list, "DenyList " + list->name.name); });
  add(deny_book_.list(), control::kOperatorOrigin);
  if (!edge_) {
    out.problem = edge_failure_.empty() ? "no edge: edge.interfaces is not set, nobody is denied" : edge_failure_;
    return out;
  }
  out.hook = edge_->function().hook;
  auto why = edge_->unguarded();
  for (auto& words : edge_->refusals()) why.push_back(std::move(words));
  out.problem = fmt::format("{}", fmt::join(why, "; "));
  const auto counters = edge_->tables().counters();
  out.denied = counters[CF_EDGE_V_DENIED];
  out.audited = counters[CF_EDGE_C_AUDITED];
  return out;
}

control::Done Services::deny(const std::string& entry) {
  if (!edge_) return refused(404, {"this agent has no edge to keep anybody out", "set edge.interfaces"});
  auto parsed = source::parse_deny_entry(entry);
  if (!parsed) return refused(400, {parsed.error().message, "see GET /v1/openapi.json"});
  if (parsed->expires && *parsed->expires <= std::chrono::system_clock::now()) {
    return refused(400, {"expires: that time is over", "give one that is to come"});
  }
  const std::lock_guard one_at_a_time(writes_mutex_);
  auto list = deny_book_.list();
  std::erase_if(list.entries, [now = std::chrono::system_clock::now(), &parsed](const auto& one) {
    return one.cidr() == parsed->cidr() || (one.expires && *one.expires <= now);
  });
  if (list.entries.size() >= kOperatorEntriesMax) {
    return refused(507, {fmt::format("there are {} entries, more are refused", list.entries.size()),
                         "remove some, or write a DenyList among the manifests"});
  }
  list.entries.push_back(std::move(*parsed));
  return keep_denied(std::move(list));
}

control::Done Services::allow(const std::string& cidr) {
  const auto parsed = source::parse_deny_entry(fmt::format("{{\"cidr\": \"{}\"}}", cidr));
  if (!parsed) return refused(400, {parsed.error().message, "see GET /v1/openapi.json"});
  const std::lock_guard one_at_a_time(writes_mutex_);
  auto list = deny_book_.list();
  if (std::erase_if(list.entries, [&](const auto& one) { return one.cidr() == parsed->cidr(); }) == 0) {
    return refused(404,
                   {fmt::format("the operator's list has no {}", parsed->cidr()),
                    "see cfcli policy check-blocklist; what a DenyList among the manifests has is taken out there"});
  }
  return keep_denied(std::move(list));
}

control::Done Services::keep_denied(model::DenyList list) {
  if (auto kept = deny_book_.write(list); !kept) return refused(500, std::move(kept.error()));
  const std::lock_guard lock(mutex_);
  deny_book_.set(std::move(list));
  update_deny();
  return {};
}

}  // namespace cortexflow
