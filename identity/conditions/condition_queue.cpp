// SPDX-License-Identifier: Apache-2.0
#include "identity/conditions/condition_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace cortexflow::identity {
namespace {

// The same request may go well later.  What has no words is no API server's answer.
bool may_pass(int status, const std::string& words) {
  return words.empty() || status < 400 || status == 401 || status == 403 || status == 429 || status >= 500;
}

}  // namespace

void ConditionQueue::put(const model::ObjectKey& key, std::string body) {
  erase(key);
  if (waiting_.size() < kWaitingMax) {
    waiting_.emplace(key, std::move(body));
    return;
  }
  ++figures_[key.kind].failed;
  problem_ = fmt::format("more than {} conditions wait to be written", kWaitingMax);
}

void ConditionQueue::erase(const model::ObjectKey& key) {
  waiting_.erase(key);
  outdated_ = outdated_ || (under_way_ && under_way_->key == key);
}

void ConditionQueue::clear(model::Kind kind) {
  std::erase_if(waiting_, [kind](const auto& entry) { return entry.first.kind == kind; });
  outdated_ = outdated_ || (under_way_ && under_way_->key.kind == kind);
}

std::optional<ConditionQueue::Time> ConditionQueue::time() const {
  if (under_way_ || waiting_.empty()) return std::nullopt;
  return at_;
}

// In turn, so that one that always fails holds up no other.
std::optional<ConditionQueue::Write> ConditionQueue::next(Time now) {
  const auto due = time();
  if (!due || now < *due) return std::nullopt;
  auto at = waiting_.upper_bound(latest_);
  if (at == waiting_.end()) at = waiting_.begin();
  latest_ = at->first;
  under_way_ = Write{at->first, std::move(at->second)};
  outdated_ = false;
  waiting_.erase(at);
  at_ = now + kBetween;
  return under_way_;
}

void ConditionQueue::answered(const source::Answered& answered, const std::string& words, Time now) {
  const bool whole = answered.error.empty();
  const bool written = whole && answered.status == 200;
  // It has changed or gone since: the watch tells what it is now.
  const bool overtaken = whole && !words.empty() && (answered.status == 409 || answered.status == 404);
  if (written) ++figures_[under_way_->key.kind].written;
  if (written || overtaken) {
    failures_in_row_ = 0;
    problem_.clear();
  } else {
    failed(answered, words, now);
  }
  under_way_.reset();
}

void ConditionQueue::failed(const source::Answered& answered, const std::string& words, Time now) {
  ++figures_[under_way_->key.kind].failed;
  const auto why =
      answered.error.empty() ? fmt::format("the server answered {}: {}", answered.status, words) : answered.error;
  problem_ = fmt::format("the condition of {} can't be written: {}", under_way_->key.to_string(), why);
  if (!may_pass(answered.status, words)) return;
  if (!outdated_) waiting_.emplace(std::move(under_way_->key), std::move(under_way_->body));
  const auto back_off = std::min(kBackOffMax, kBackOffFirst * (1U << std::min(failures_in_row_, 5U)));
  ++failures_in_row_;
  at_ = now + std::max<std::chrono::milliseconds>(back_off, answered.after.value_or(std::chrono::seconds(0)));
}

ConditionQueue::Figures ConditionQueue::figures(model::Kind kind) const {
  const auto at = figures_.find(kind);
  return at == figures_.end() ? Figures{} : at->second;
}

}  // namespace cortexflow::identity
