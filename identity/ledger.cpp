// SPDX-License-Identifier: Apache-2.0
#include "identity/ledger.h"

#include <algorithm>

#include "identity/ledger_record.h"

namespace cortexflow::identity {
namespace {

constexpr std::uint64_t kRewriteSlack = 1U << 20U;  // octets beyond twice what the last rewrite left

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& path, std::size_t entries_max) {
  std::unique_ptr<Ledger> ledger(new Ledger(entries_max));
  auto journal = Journal::open(path, [&](std::string_view record) { return ledger->take(record); });
  if (!journal) return tl::make_unexpected(std::move(journal.error()));
  ledger->journal_ = std::move(*journal);
  return ledger;
}

Result<void> Ledger::take(std::string_view record) {
  auto read = parse_ledger_record(record);
  if (!read) return tl::make_unexpected(std::move(read.error()));
  if (auto* entry = std::get_if<Entry>(&*read)) {
    entries_[entry->serial] = std::move(*entry);
  } else if (const auto* revoked = std::get_if<RevokedRecord>(&*read)) {
    const auto found = entries_.find(revoked->serial);
    if (found == entries_.end()) return fail("a certificate was revoked that was never issued");
    found->second.revoked = revoked->time;
    found->second.reason = revoked->reason;
    found->second.list = revoked->list;
  } else if (const auto* list = std::get_if<ListRecord>(&*read)) {
    lists_[list->issuer] = list->state;
  }
  return {};
}

Result<void> Ledger::issued(const Entry& entry, Time now) {
  std::unique_lock lock(mutex_);
  if (entries_.size() >= entries_max_ || journal_->octets() > 2 * octets_after_rewrite_ + kRewriteSlack) {
    if (auto dropped = drop_ended(now); !dropped) return dropped;
  }
  if (entries_.size() >= entries_max_) {
    return tl::make_unexpected(Error{fmt::format("{} certificates are standing; more are refused", entries_max_),
                                     "use longer lifetimes, or wait until some have ended"});
  }
  const auto position = journal_->write(text_of(entry));
  if (!position) return tl::make_unexpected(position.error());
  entries_[entry.serial] = entry;
  lock.unlock();
  return journal_->sync(*position);
}

Result<Entry> Ledger::revoke(const std::string& serial, int reason, Time now) {
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(serial);
  if (found == entries_.end()) {
    return tl::make_unexpected(
        Error{fmt::format("no certificate {} was issued here, or it has ended", serial), "see cfcli cert list"});
  }
  auto entry = found->second;
  if (entry.revoked) {  // perhaps by somebody who still waits for the disk
    lock.unlock();
    if (auto synced = journal_->sync(); !synced) return tl::make_unexpected(std::move(synced.error()));
    return entry;
  }
  entry.revoked = now;
  entry.reason = reason;
  entry.list = lists_[entry.issuer].number + 1;
  const auto position = journal_->write(text_of(RevokedRecord{serial, now, reason, entry.list}));
  if (!position) return tl::make_unexpected(position.error());
  found->second = entry;
  lock.unlock();
  if (auto synced = journal_->sync(*position); !synced) return tl::make_unexpected(std::move(synced.error()));
  return entry;
}

Result<ListState> Ledger::next_list(const std::string& issuer, std::chrono::seconds base_age, Time now) {
  std::unique_lock lock(mutex_);
  ListState next = lists_[issuer];
  ++next.number;
  if (next.base == 0 || now < next.base_time || now - next.base_time >= base_age) {
    next.base = next.number;
    next.base_time = now;
  }
  const auto position = journal_->write(text_of(ListRecord{issuer, next}));
  if (!position) return tl::make_unexpected(position.error());
  lists_[issuer] = next;
  lock.unlock();
  if (auto synced = journal_->sync(*position); !synced) return tl::make_unexpected(std::move(synced.error()));
  return next;
}

Result<void> Ledger::drop_ended(Time now) {
  std::vector<std::string> records;
  auto kept = entries_;
  std::erase_if(kept, [now](const auto& item) {
    const auto& entry = item.second;
    return now > entry.not_after + (entry.revoked ? kKept : std::chrono::hours(0));
  });
  for (const auto& [serial, entry] : kept) {
    records.push_back(text_of(entry));
    if (entry.revoked) records.push_back(text_of(RevokedRecord{serial, *entry.revoked, entry.reason, entry.list}));
  }
  for (const auto& [issuer, state] : lists_) records.push_back(text_of(ListRecord{issuer, state}));
  if (auto rewritten = journal_->rewrite(records); !rewritten) return rewritten;
  entries_ = std::move(kept);
  octets_after_rewrite_ = journal_->octets();
  return {};
}

std::optional<Entry> Ledger::find(const std::string& serial) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(serial);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<Entry> Ledger::entries() const {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> out;
  out.reserve(entries_.size());
  for (const auto& [serial, entry] : entries_) out.push_back(entry);
  return out;
}

std::vector<Entry> Ledger::revoked(const std::string& issuer) const {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> out;
  for (const auto& [serial, entry] : entries_) {
    if (entry.revoked && entry.issuer == issuer) out.push_back(entry);
  }
  return out;
}

std::optional<Time> Ledger::last_end(const std::string& issuer) const {
  const std::lock_guard lock(mutex_);
  std::optional<Time> last;
  for (const auto& [serial, entry] : entries_) {
    if (entry.issuer == issuer && (!last || *last < entry.not_after)) last = entry.not_after;
  }
  return last;
}

std::size_t Ledger::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace cortexflow::identity
