// SPDX-License-Identifier: Apache-2.0
// What was issued and what was revoked, kept before anybody hears of it.  Safe to use from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "identity/authority.h"
#include "identity/records.h"

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

// How many certificates may stand; of one SPIFFE ID as many that none of those who have one keeps others out.
struct LedgerLimits {
  std::size_t entries = 262'144;
  std::size_t of_one_id = 16'384;
};

class Ledger {
 public:
  // A revoked certificate stays on the lists for so long after its end: it has to be on one of them (RFC 5280, 3.3),
  // and a clock that was ahead for a while must not forgive it.
  static constexpr std::chrono::hours kKept{7 * 24};

  [[nodiscard]] static Result<std::unique_ptr<Ledger>> open(const Records::Open& open, LedgerLimits limits = {});
  // Of a file.
  [[nodiscard]] static Result<std::unique_ptr<Ledger>> open(const std::string& path, LedgerLimits limits = {});

  // Refused where the table, or what the ID may have of it, is full of certificates that have not ended.
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
  [[nodiscard]] std::size_t capacity() const { return limits_.entries; }
  // That its records take, and may take at most.
  [[nodiscard]] std::uint64_t octets() const;
  [[nodiscard]] std::uint64_t octets_max() const { return records_->octets_max(); }
  [[nodiscard]] bool has_room(const std::string& id) const;

 private:
  struct Standing {
    std::size_t count = 0;
    Time first_gone = Time::max();  // when the first of them may be dropped, or earlier
  };

  explicit Ledger(const LedgerLimits& limits) : limits_(limits) {}
  [[nodiscard]] Result<void> make_room(const std::string& id, Time now);
  [[nodiscard]] bool full() const;
  [[nodiscard]] const Standing& standing(const std::string& id) const;
  void count(const Entry& entry);
  [[nodiscard]] Result<void> take(std::string_view record);
  [[nodiscard]] Result<void> drop_ended(Time now);

  const LedgerLimits limits_;
  mutable std::mutex mutex_;
  std::unique_ptr<Records> records_;
  std::map<std::string, Entry> entries_;  // by serial
  std::unordered_map<std::string, Standing> by_id_;
  Standing all_;
  std::map<std::string, ListState> lists_;  // by issuer
  std::uint64_t octets_after_rewrite_ = 0;
};

}  // namespace cortexflow::identity
