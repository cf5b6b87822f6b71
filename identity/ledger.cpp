// SPDX-License-Identifier: Apache-2.0
#include "identity/ledger.h"

#include <algorithm>

#include "identity/journal.h"
#include "identity/ledger_record.h"

namespace cortexflow::identity {
namespace {

constexpr std::uint64_t kRewriteSlack = 1U << 20U;  // octets beyond twice what the last rewrite left

// When nobody needs to know of it any more.
Time gone_after(const Entry& entry) {
  return entry.not_after + (entry.revoked ? Ledger::kKept : std::chrono::hours(0));
}

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const Records::Open& open, LedgerLimits limits) {
  std::unique_ptr<Ledger> ledger(new Ledger(limits));
  auto records = open([&](std::string_view record) { return ledger->take(record); });
  if (!records) return tl::make_unexpected(std::move(records.error()));
  ledger->records_ = std::move(*records);
  return ledger;
}

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& path, LedgerLimits limits) {
  return open(
      [&](const Records::Take& take) -> Result<std::unique_ptr<Records>> {
        auto journal = Journal::open(path, take);
        if (!journal) return tl::make_unexpected(std::move(journal.error()));
        return std::move(*journal);
      },
      limits);
}

Result<void> Ledger::take(std::string_view record) {
  auto read = parse_ledger_record(record);
  if (!read) return tl::make_unexpected(std::move(read.error()));
  if (auto* entry = std::get_if<Entry>(&*read)) {
    count(*entry);
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
  if (auto made = make_room(entry.id, now); !made) return made;
  const auto position = records_->write(text_of(entry));
  if (!position) return tl::make_unexpected(position.error());
  entries_[entry.serial] = entry;
  count(entry);
  lock.unlock();
  return records_->sync(*position);
}

// Where nothing can have ended nothing is looked through: whoever is refused may ask again at once.
Result<void> Ledger::make_room(const std::string& id, Time now) {
  const auto full_of_one = [&] { return standing(id).count >= limits_.of_one_id; };
  const auto octets = records_->octets();
  const bool grown = octets > 2 * octets_after_rewrite_ + kRewriteSlack ||
                     (octets >= records_->octets_max() && octets > octets_after_rewrite_ + kRewriteSlack);
  if (grown || (full() && now > all_.first_gone) || (full_of_one() && now > standing(id).first_gone)) {
    if (auto dropped = drop_ended(now); !dropped) return dropped;
  }
  if (records_->octets() >= records_->octets_max()) {
    return tl::make_unexpected(Error{fmt::format("the ledger is full: {} octets", records_->octets()),
                                     "use longer lifetimes or shorter SPIFFE IDs, or wait until some have ended"});
  }
  if (full()) {
    return tl::make_unexpected(Error{fmt::format("{} certificates are standing; more are refused", limits_.entries),
                                     "use longer lifetimes, or wait until some have ended"});
  }
  if (full_of_one()) {
    return tl::make_unexpected(
        Error{fmt::format("{} certificates of {} are standing; more are refused", limits_.of_one_id, id),
              "does something ask again and again (cfcli cert list)? Wait until some have ended"});
  }
  return {};
}

bool Ledger::full() const { return all_.count >= limits_.entries || records_->octets() >= records_->octets_max(); }

const Ledger::Standing& Ledger::standing(const std::string& id) const {
  static const Standing kNone;
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? kNone : found->second;
}

void Ledger::count(const Entry& entry) {
  for (auto* standing : {&all_, &by_id_[entry.id]}) {
    ++standing->count;
    standing->first_gone = std::min(standing->first_gone, gone_after(entry));
  }
}

bool Ledger::has_room(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  return !full() && standing(id).count < limits_.of_one_id;
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
    if (auto synced = records_->sync(); !synced) return tl::make_unexpected(std::move(synced.error()));
    return entry;
  }
  entry.revoked = now;
  entry.reason = reason;
  entry.list = lists_[entry.issuer].number + 1;
  const auto position = records_->write(text_of(RevokedRecord{serial, now, reason, entry.list}));
  if (!position) return tl::make_unexpected(position.error());
  found->second = entry;
  lock.unlock();
  if (auto synced = records_->sync(*position); !synced) return tl::make_unexpected(std::move(synced.error()));
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
  const auto position = records_->write(text_of(ListRecord{issuer, next}));
  if (!position) return tl::make_unexpected(position.error());
  lists_[issuer] = next;
  lock.unlock();
  if (auto synced = records_->sync(*position); !synced) return tl::make_unexpected(std::move(synced.error()));
  return next;
}

Result<void> Ledger::drop_ended(Time now) {
  std::vector<std::string> records;
  auto kept = entries_;
  std::erase_if(kept, [now](const auto& item) { return now > gone_after(item.second); });
  for (const auto& [serial, entry] : kept) {
    records.push_back(text_of(entry));
    if (entry.revoked) records.push_back(text_of(RevokedRecord{serial, *entry.revoked, entry.reason, entry.list}));
  }
  for (const auto& [issuer, state] : lists_) records.push_back(text_of(ListRecord{issuer, state}));
  if (auto rewritten = records_->rewrite(records); !rewritten) return rewritten;
  entries_ = std::move(kept);
  by_id_.clear();
  all_ = {};
  for (const auto& [serial, entry] : entries_) count(entry);
  octets_after_rewrite_ = records_->octets();
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

std::uint64_t Ledger::octets() const {
  const std::lock_guard lock(mutex_);
  return records_->octets();
}

std::size_t Ledger::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace cortexflow::identity
