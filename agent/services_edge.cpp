// SPDX-License-Identifier: Apache-2.0
// Services: what comes from outside, and who is kept out.
#include <spdlog/spdlog.h>

#include "agent/operator_request.h"
#include "agent/services.h"
#include "agent/source/deny_list_text.h"

namespace cortexflow {
namespace {

constexpr std::size_t kOperatorEntriesMax = 10'000;

control::DenyRow row_of(const model::DenyEntry& entry, const std::string& origin) {
  return {entry.cidr(), entry.ports, source::direction_name(entry), source::mode_name(entry), entry.expires, origin};
}

}  // namespace

// A kernel that refuses its program does without the edge alone.
void Services::open_edge(const source::Settings& settings) {
  if (settings.edge.interfaces.empty()) return;
  auto edge = Edge::open(settings.edge, settings.pin_path);
  if (edge) {
    edge_ = std::move(*edge);
    update_deny();
    return;
  }
  edge_failure_ = edge.error().to_string();
  spdlog::error("edge: {}", edge_failure_);
}

void Services::poll_edge(std::vector<Error>& errors) {
  if (!edge_) return;
  edge_->tick();
  for (auto& error : edge_->take_errors()) errors.push_back(std::move(error).wrap("edge"));
}

// The operator's come last: they are the newest.
void Services::update_deny() {
  if (!edge_) return;
  std::vector<model::DenyEntry> entries;
  const auto add = [&](const model::DenyList& list) {
    entries.insert(entries.end(), list.entries.begin(), list.entries.end());
  };
  desired_.snapshot()->deny_lists.for_each([&](const auto& list) { add(*list); });
  add(deny_book_.list());
  edge_->deny(std::move(entries));
}

std::vector<control::FunctionStatus> Services::functions() const {
  std::vector<control::FunctionStatus> out{{"services", "cgroup sock_addr", false, ""}};
  {
    const std::lock_guard lock(mutex_);
    for (const auto* words : {&held_words_, &override_failure_}) {
      if (words->empty()) continue;
      out.front().degraded = true;
      out.front().detail += (out.front().detail.empty() ? "" : "; ") + *words;
    }
  }
  const auto& unwatched = tables_->unwatched();
  out.push_back({"service connections", unwatched.empty() ? "sock_ops" : "", !unwatched.empty(), unwatched});
  out.push_back(stale_sockets_
                    ? stale_sockets_->function()
                    : control::FunctionStatus{StaleSocketSweep::kName, "", true,
                                              stale_sockets_failure_ + "; they stay with a backend that leaves"});
  if (const auto function = policies_.function(); !function.hook.empty() || function.degraded) out.push_back(function);
  if (edge_) out.push_back(edge_->function());
  if (!edge_failure_.empty()) {
    out.push_back(
        {"edge", "", true, edge_failure_ + "; packets to node ports and balancers' addresses go to the stack"});
  }
  return out;
}

control::Answer<control::DenyView> Services::deny_list() const {
  control::DenyView out;
  const std::lock_guard lock(mutex_);
  const auto add = [&](const model::DenyList& list, const std::string& origin) {
    for (const auto& entry : list.entries) out.entries.push_back(row_of(entry, origin));
  };
  desired_.snapshot()->deny_lists.for_each([&](const auto& list) { add(*list, "DenyList " + list->name.name); });
  add(deny_book_.list(), control::kOperatorOrigin);
  if (!edge_) {
    out.problem = edge_failure_.empty() ? "no edge: edge.interfaces is not set, nobody is denied" : edge_failure_;
    return out;
  }
  const auto function = edge_->function();
  out.hook = function.hook;
  out.problem = function.detail;
  for (const auto& words : edge_->refusals()) out.problem += (out.problem.empty() ? "" : "; ") + words;
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
