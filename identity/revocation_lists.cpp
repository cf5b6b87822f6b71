// SPDX-License-Identifier: Apache-2.0
#include "identity/revocation_lists.h"

namespace cortexflow::identity {

Result<Lists> RevocationLists::current(const Authority& authority, Time now) {
  const std::lock_guard lock(mutex_);
  const auto found = made_.find(authority.id());
  if (found != made_.end() && now >= found->second.at && now - found->second.at < kRefreshed) {
    return found->second.lists;
  }
  // The number first: what is revoked from here on belongs to the next list, even where this one has it already.
  const auto state = ledger_.next_list(authority.id(), kBaseAge, now);
  if (!state) return tl::make_unexpected(state.error());
  ListContent complete{{}, state->number, std::nullopt, now, now + kValid};
  ListContent delta{{}, state->number, state->base, now, now + kValid};
  for (const auto& entry : ledger_.revoked(authority.id())) {
    const RevokedEntry revoked{entry.serial, *entry.revoked, entry.reason};
    complete.entries.push_back(revoked);
    if (entry.list > state->base) delta.entries.push_back(revoked);
  }
  auto complete_der = authority.list(complete);
  auto delta_der = authority.list(delta);
  if (!complete_der || !delta_der) return tl::make_unexpected((complete_der ? delta_der : complete_der).error());
  Lists lists{std::move(*complete_der), std::move(*delta_der), state->number};
  made_[authority.id()] = {lists, now};
  figures_[authority.id()] = {lists.number, lists.complete.size(), now};
  return lists;
}

std::optional<ListFigures> RevocationLists::figures(const std::string& issuer) const {
  const std::lock_guard lock(mutex_);
  const auto found = figures_.find(issuer);
  return found == figures_.end() ? std::nullopt : std::optional(found->second);
}

void RevocationLists::outdate(const std::string& issuer) {
  const std::lock_guard lock(mutex_);
  made_.erase(issuer);
}

}  // namespace cortexflow::identity
