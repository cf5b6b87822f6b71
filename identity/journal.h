// SPDX-License-Identifier: Apache-2.0
// A file of records that is only ever appended to: a record that was synced is there after any end of the process, one
// that was torn is not.  One line a record: 16 hexadecimal digits of its SHA-256, a space, its text.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace cortexflow::identity {

class Journal {
 public:
  using Take = std::function<Result<void>(std::string_view record)>;

  // Gives each record that is there to `take`.  What is torn at its end is cut off; a broken record with good ones
  // behind it was not torn but damaged, and refuses the file.
  [[nodiscard]] static Result<std::unique_ptr<Journal>> open(std::string path, const Take& take);

  // Where the file ends with the record in it.  The record must hold no line end.  After a failure the file is as it
  // was before.
  [[nodiscard]] Result<std::uint64_t> write(std::string_view record);
  // What was written up to `position` is on disk when it returns.  Those that wait at the same time share one sync.
  // A disk that failed to sync has lost an unknown part: nothing is taken any more.
  [[nodiscard]] Result<void> sync(std::uint64_t position);
  // The same of all that was written so far.
  [[nodiscard]] Result<void> sync();
  // Replaces everything by these.  Not at the same time as write().
  [[nodiscard]] Result<void> rewrite(const std::vector<std::string>& records);

  [[nodiscard]] std::uint64_t octets() const { return size_; }  // of the file; not at the same time as write()

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
