// SPDX-License-Identifier: Apache-2.0
// The records of the ledger's journal, as JSON on a line.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "identity/ledger.h"

namespace cortexflow::identity {

struct RevokedRecord {
  std::string serial;
  Time time;
  int reason = 0;
  std::uint64_t list = 0;
};
struct ListRecord {
  std::string issuer;
  ListState state;
};
using LedgerRecord = std::variant<Entry, RevokedRecord, ListRecord>;

// An Entry's revocation is a record of its own.
[[nodiscard]] std::string text_of(const LedgerRecord& record);
[[nodiscard]] Result<LedgerRecord> parse_ledger_record(std::string_view text);

}  // namespace cortexflow::identity
