// SPDX-License-Identifier: Apache-2.0
// Services: what an agent before left, as long as not all of the configuration could be read since this one started.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/compile/image.h"
#include "agent/services.h"
#include "agent/state/incomplete.h"

namespace cortexflow {

bool Services::may_lack(const model::ObjectName& service) const {
  return unread_ && state::may_lack(*unread_, service);
}

// Before the plans of an update are made.
void Services::note_unread(const model::Unread& unread, std::set<model::ObjectName>& touched) {
  if (!unread_) return;
  unread_ = unread;
  touched.insert(book_.held().begin(), book_.held().end());
  if (edge_) touched.merge(edge_->held());
  for (const auto& name : overrides_.names()) touched.insert(name);
}

// After them.  Once all can be read, what nobody has claimed goes for good.
void Services::settle(std::vector<Error>& errors) {
  if (!unread_) return;
  if (unread_->empty()) {
    if (!held_words_.empty()) spdlog::info("services: all of the manifests can be read: nothing is held any more");
    unread_.reset();
    held_words_.clear();
    book_.hold({});
    write(book_.drop_unclaimed(), errors);
    if (edge_) edge_->hold({});
    if (edge_) edge_->drop_unclaimed({});
    if (auto dropped = memory_.drop_unclaimed(*tables_); !dropped) errors.push_back(std::move(dropped.error()));
    return;
  }
  if (!unread_->anything) {
    std::set<std::uint16_t> stay{0};
    for (const auto& key : unread_->objects) {
      if (key.kind == model::Kind::kService) stay.insert(compile::owner_of(key.name));
    }
    for (const auto& name : book_.held()) stay.insert(compile::owner_of(name));
    write(book_.drop_unclaimed(stay), errors);
    if (edge_) {
      for (const auto& name : edge_->held()) stay.insert(compile::owner_of(name));
      edge_->drop_unclaimed(stay);
    }
  }
  const auto names = overrides_.names();
  const auto overrides = std::count_if(names.begin(), names.end(), [this](const auto& name) { return may_lack(name); });
  std::string words;
  const auto edge_ports = edge_ ? edge_->unclaimed() : 0;
  if (book_.unclaimed() > 0 || edge_ports > 0 || overrides > 0) {
    words = fmt::format(
        "{} service ports, {} of the edge's and the operator's settings of {} services stay as the agent before left "
        "them, as not all of the manifests can be read; repair what `cfcli service list` says is not used",
        book_.unclaimed(), edge_ports, overrides);
    if (words != held_words_) spdlog::warn("services: {}", words);
  }
  held_words_ = std::move(words);
}

}  // namespace cortexflow
