// SPDX-License-Identifier: Apache-2.0
// Policies: what the kernel tells of verdicts, and what flows say of them.
#include <utility>

#include "agent/policies.h"

namespace cortexflow {

void Policies::share_sockets(int map) {
  const std::lock_guard lock(mutex_);
  shared_sockets_ = map;
}

int Policies::sockets() const {
  const std::lock_guard lock(mutex_);
  return tables_ ? tables_->sockets() : -1;
}

std::vector<std::string> Policies::read_events() {
  const std::lock_guard lock(mutex_);
  return tables_ ? tables_->read_events() : std::vector<std::string>{};
}

void Policies::name_verdict(model::Flow& flow, const cf_policy_judgment& judgment) const {
  if (judgment.generation == 0) return;
  const auto verdict = static_cast<cf_policy_verdict>(judgment.verdict);
  flow.policy = {compile::verdict_name(verdict), compile::is_refusal(verdict), {}};
  const std::lock_guard lock(mutex_);
  if (first_generation_ == 0 || judgment.generation < first_generation_) return;
  for (const auto rule : {judgment.rule, judgment.network_rule}) {
    if (rule != 0) flow.policy->rules.push_back(numbers_.name(rule));
  }
}

}  // namespace cortexflow
