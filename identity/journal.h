// SPDX-License-Identifier: Apache-2.0
// Records in a file that is only ever appended to: one that was synced is there after any end of the process, one that
// was torn is not.  One line a record (identity/record_line.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "identity/records.h"

namespace cortexflow::identity {

class Journal : public Records {
 public:
  // Gives each record that is there to `take`.  What is torn at its end is cut off; a broken record with good ones
  // behind it was not torn but damaged, and refuses the file.
  [[nodiscard]] static Result<std::unique_ptr<Journal>> open(std::string path, const Take& take);

  [[nodiscard]] Result<std::uint64_t> write(std::string_view record) override;
  [[nodiscard]] Result<void> sync(std::uint64_t position) override;
  [[nodiscard]] Result<void> sync() override;
  [[nodiscard]] Result<void> rewrite(const std::vector<std::string>& records) override;
  [[nodiscard]] std::uint64_t octets() const override { return size_; }

 private:
  explicit Journal(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] Result<void> reopen();
  [[nodiscard]] tl::unexpected<Error> is_broken() const;

  std::string path_;
  std::mutex write_mutex_;  // before sync_mutex_, where both are held
  std::mutex sync_mutex_;
  Fd file_;
  std::uint64_t size_ = 0;     // of the file
  std::uint64_t written_ = 0;  // octets ever, over all rewrites: what positions count
  std::uint64_t synced_ = 0;   // of these
  std::atomic<bool> broken_ = false;
};

}  // namespace cortexflow::identity
