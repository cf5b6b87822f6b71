// SPDX-License-Identifier: Apache-2.0
// The revocation lists of each authority as they stand, made when they are asked for and something has changed.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "identity/ledger.h"

namespace cortexflow::identity {

struct Lists {
  std::string complete, delta;  // DER, of the same number
  std::uint64_t number = 0;
};

struct ListFigures {
  std::uint64_t number = 0;
  std::size_t octets = 0;  // of the complete list
  Time made;
};

class RevocationLists {
 public:
  static constexpr std::chrono::hours kValid{24};
  static constexpr std::chrono::hours kRefreshed{1};  // so that a list always holds for 23 h more
  static constexpr std::chrono::hours kBaseAge{24};   // deltas don't grow longer than a day's revocations

  // `ledger` has to outlive it.
  explicit RevocationLists(Ledger& ledger) : ledger_(ledger) {}

  [[nodiscard]] Result<Lists> current(const Authority& authority, Time now);
  // Of the latest list; nothing where there was none yet.
  [[nodiscard]] std::optional<ListFigures> figures(const std::string& issuer) const;
  // A certificate of that issuer's was revoked.
  void outdate(const std::string& issuer);

 private:
  struct Made {
    Lists lists;
    Time at;
  };

  Ledger& ledger_;
  mutable std::mutex mutex_;
  std::map<std::string, Made> made_;  // by issuer; good until outdated
  std::map<std::string, ListFigures> figures_;
};

}  // namespace cortexflow::identity
