// SPDX-License-Identifier: Apache-2.0
// Services: what of the configuration is not used, in the log when it comes to be so.
#include <spdlog/spdlog.h>

#include "agent/service_rows.h"
#include "agent/services.h"

namespace cortexflow {
namespace {

constexpr std::chrono::seconds kLookEvery{1};  // among 100,000 objects it takes some milliseconds
constexpr std::size_t kSaidAtOnce = 20;

}  // namespace

std::vector<std::string> Services::unused_words() const {
  std::vector<std::string> out;
  for (const auto& refusal : desired_.refusals()) out.push_back(refusal.to_string());
  for (const auto& [pod, words] : callers_.refusals()) out.push_back(words);
  for (auto& words : policies_.refusals()) out.push_back(std::move(words));
  if (edge_) {
    for (auto& words : edge_->refusals()) out.push_back(std::move(words));
  }
  if (health_ports_) {
    for (auto& words : health_ports_->refusals()) out.push_back(std::move(words));
  }
  for (const auto& [frontend, keys] : book_.contenders()) {
    for (const auto& key : keys) {
      out.push_back(
          fmt::format("Service {}/{}: {}", key.service.ns, key.service.name, contested_text(frontend, book_)));
    }
  }
  return out;
}

std::size_t Services::unused() const {
  const std::lock_guard lock(mutex_);
  return unused_words().size() + desired_.unlisted();
}

void Services::say_unused() {
  const auto at = Clock::now();
  if (!configuration_changed_ || at - looked_unused_ < kLookEvery) return;
  configuration_changed_ = false;
  looked_unused_ = at;
  auto words = unused_words();
  std::set<std::string> now(std::make_move_iterator(words.begin()), std::make_move_iterator(words.end()));
  std::size_t fresh = 0;
  for (const auto& one : now) {
    if (!said_unused_.contains(one) && ++fresh <= kSaidAtOnce) spdlog::warn("not used: {}", one);
  }
  if (fresh > kSaidAtOnce) spdlog::warn("not used: {} more; see cfcli service list", fresh - kSaidAtOnce);
  if (now.empty() && !said_unused_.empty()) spdlog::info("all of the configuration is used now");
  said_unused_ = std::move(now);
}

}  // namespace cortexflow
