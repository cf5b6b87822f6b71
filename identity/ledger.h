// SPDX-License-Identifier: Apache-2.0
// What was issued and what was revoked, on disk before anybody hears of it.  Safe to use from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "identity/authority.h"
#include "identity/journal.h"

namespace cortexflow::identity {

struct Entry {
  std::string serial;  // hexadecimal
  std::string id;      // SPIFFE ID
  std::string issuer;  // key id
  Time not_before, not_after;
  std::optional<Time> revoked;
  int reason = 0;          // CRLReason
  std::uint64_t list = 0;  // the number of the first revocation list that has it
};

// Of one issuer's revocation lists.
struct ListState {
  std::uint64_t number = 0;
  std::uint64_t base = 0;  // deltas are to this one
  Time base_time;
};

class Ledger {
 public:
  static constexpr std::size_t kEntriesMax = 262'144;
  // A revoked certificate stays on the lists for so long after its end: it has to be on one of them (RFC 5280, 3.3),
  // and a clock that was ahead for a while must not forgive it.
  static constexpr std::chrono::hours kKept{7 * 24};

  [[nodiscard]] static Result<std::unique_ptr<Ledger>> open(const std::string& path,
                                                            std::size_t entries_max = kEntriesMax);

  // Refused where the table is full of certificates that have not ended.
  [[nodiscard]] Result<void> issued(const Entry& entry, Time now);
  // The entry as it is then; one that is revoked already stays as it is.
  [[nodiscard]] Result<Entry> revoke(const std::string& serial, int reason, Time now);
  // A list of this issuer's is about to be made: its number, and what it is a delta to.  A new base where the old one
  // is older than `base_age`.
  [[nodiscard]] Result<ListState> next_list(const std::string& issuer, std::chrono::seconds base_age, Time now);

  [[nodiscard]] std::optional<Entry> find(const std::string& serial) const;
  [[nodiscard]] std::vector<Entry> entries() const;  // by serial
  [[nodiscard]] std::vector<Entry> revoked(const std::string& issuer) const;
  // When the last certificate of that issuer ends; nothing where there is none.
  [[nodiscard]] std::optional<Time> last_end(const std::string& issuer) const;
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t capacity() const { return entries_max_; }

 private:
  explicit Ledger(std::size_t entries_max) : entries_max_(entries_max) {}
  [[nodiscard]] Result<void> take(std::string_view record);
  [[nodiscard]] Result<void> drop_ended(Time now);

  const std::size_t entries_max_;
  mutable std::mutex mutex_;
  std::unique_ptr<Journal> journal_;
  std::map<std::string, Entry> entries_;    // by serial
  std::map<std::string, ListState> lists_;  // by issuer
  std::uint64_t octets_after_rewrite_ = 0;
};

}  // namespace cortexflow::identity
