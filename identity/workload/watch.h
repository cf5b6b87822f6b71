// SPDX-License-Identifier: Apache-2.0
// A standing call of the Workload API: what its caller holds, and whether that is what it was told.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "identity/workload/svids.h"

namespace cortexflow::identity {

struct Watch {
  static constexpr std::chrono::minutes kRetry{1};  // after a renewal that failed

  bool wants_svids = true;  // or the bundles alone
  bool asked = false;       // somebody sees to what it is to have
  bool again = false;       // and has to look once more
  bool known = false;       // it has had its first look
  bool untold = false;      // what it has is not what it was told
  bool sending = false;
  std::shared_ptr<std::atomic<bool>> gone = std::make_shared<std::atomic<bool>>(false);  // told to who sees to it
  std::vector<Svid> held;
  std::optional<Time> due;  // the first renewal

  // Of what is held: which needs no renewal.
  [[nodiscard]] std::set<std::string> standing(Time now) const;
  // Holds what was made, in the order of its ids; drops what is no more the caller's.  A renewal that failed is tried
  // again later, as long as what it renews holds.  A refusal ends the call: nothing is left.
  struct Taken {
    std::optional<Refusal> refusal;
    std::uint64_t renewed = 0;
    bool failed = false;
  };
  [[nodiscard]] Taken take(Made made, Time now);
  // These were revoked: they are renewed at once.  True where it holds one.
  [[nodiscard]] bool outdate(const std::function<bool(const std::string& serial)>& revoked);

 private:
  void set_due();
};

}  // namespace cortexflow::identity
