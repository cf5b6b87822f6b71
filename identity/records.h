// SPDX-License-Identifier: Apache-2.0
// Records that are only ever appended, kept over every end of the process: a file (identity/journal.h), or Secrets of a
// cluster (identity/cluster/secret_records.h).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::identity {

class Records {
 public:
  using Take = std::function<Result<void>(std::string_view record)>;
  // Gives each record that is there to `take`, in their order.
  using Open = std::function<Result<std::unique_ptr<Records>>(const Take& take)>;

  Records() = default;
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;
  virtual ~Records() = default;

  // A position: sync() of it keeps the record.  It must hold no line end.  After a failure all is as it was before.
  [[nodiscard]] virtual Result<std::uint64_t> write(std::string_view record) = 0;
  // What was written up to `position` is kept when it returns.  Those that wait at the same time share one sync.
  // After a failure it is unknown how much of it is kept: nothing is taken any more.
  [[nodiscard]] virtual Result<void> sync(std::uint64_t position) = 0;
  // The same of all that was written so far.
  [[nodiscard]] virtual Result<void> sync() = 0;
  // Replaces everything by these.  Not at the same time as write().
  [[nodiscard]] virtual Result<void> rewrite(const std::vector<std::string>& records) = 0;

  // That they take, and that they may take: what is beyond is for somebody to rewrite or to refuse.  Not at the same
  // time as write().
  [[nodiscard]] virtual std::uint64_t octets() const = 0;
  [[nodiscard]] virtual std::uint64_t octets_max() const { return std::numeric_limits<std::uint64_t>::max(); }
};

}  // namespace cortexflow::identity
