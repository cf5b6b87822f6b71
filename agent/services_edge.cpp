// SPDX-License-Identifier: Apache-2.0
// Services: what comes from outside.
#include <spdlog/spdlog.h>

#include "agent/services.h"

namespace cortexflow {
// A kernel that refuses its program does without the edge alone.
void Services::open_edge(const source::Settings& settings) {
  if (settings.edge.interfaces.empty()) {
    // Nobody would follow its services.
    if (kernel::EdgeTables::is_left(settings.pin_path)) kernel::EdgeTables::remove_left(settings.pin_path);
    return;
  }
  auto edge = Edge::open(settings.edge, addresses_.all(), settings.pin_path);
  if (edge) {
    edge_ = std::move(*edge);
    edge_->hold([this](const auto& service) { return may_lack(service); });
    update_deny();
    return;
  }
  edge_failure_ =
      edge.error().to_string() + (kernel::EdgeTables::is_left(settings.pin_path)
                                      ? "; it goes on as an agent before left it, and nobody follows changes"
                                      : "; packets to node ports and balancers' addresses go to the stack");
  spdlog::error("edge: {}", edge_failure_);
}

void Services::poll_edge(std::vector<Error>& errors) {
  if (!edge_) return;
  edge_->tick();
  for (auto& error : edge_->take_errors()) errors.push_back(std::move(error).wrap("edge"));
}

std::vector<control::FunctionStatus> Services::functions() const {
  std::vector<control::FunctionStatus> out{{"services", "cgroup sock_addr", false, ""}};
  const auto unwritable = state_directory_.problem();
  const auto not_used = unused();
  const auto not_used_words =
      not_used == 0 ? "" : fmt::format("not used of the configuration: {}; see cfcli service list", not_used);
  {
    const std::lock_guard lock(mutex_);
    const auto unwritten = writes_.words(), unwatched = pod_cgroups_ ? pod_cgroups_->failure() : std::string();
    for (const auto* words : {&held_words_, &override_failure_, &unwritable, &not_used_words, &unwritten, &unwatched}) {
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
  if (edge_) {
    out.push_back(edge_->function());
    const std::lock_guard lock(mutex_);
    for (const auto* words : {&held_deny_words_, &deny_failure_}) {
      if (words->empty()) continue;
      out.back().degraded = true;
      out.back().detail += (out.back().detail.empty() ? "" : "; ") + *words;
    }
  }
  if (!edge_failure_.empty()) {
    out.push_back({"edge", "", true, edge_failure_});
  }
  if (health_ports_) out.push_back(health_ports_->function());
  return out;
}

}  // namespace cortexflow
