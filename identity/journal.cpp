// SPDX-License-Identifier: Apache-2.0
#include "identity/journal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>

#include "agent/base/replace_file.h"
#include "identity/record_line.h"

namespace cortexflow::identity {
namespace {

Result<std::string> read_all(int fd, const std::string& path) {
  std::string text;
  std::array<char, 1U << 16U> buffer{};
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(fmt::format("cannot read {}", path), errno);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(std::string path, const Take& take) {
  std::unique_ptr<Journal> journal(new Journal(std::move(path)));
  // Made as a whole, so that its name is on disk before its first record.
  struct stat status{};
  if (stat(journal->path_.c_str(), &status) != 0) {
    if (errno != ENOENT) return fail_errno(fmt::format("cannot read {}", journal->path_), errno);
    if (auto made = replace_file(journal->path_, ""); !made) return tl::make_unexpected(std::move(made.error()));
  }
  if (auto opened = journal->reopen(); !opened) return tl::make_unexpected(std::move(opened.error()));
  const auto text = read_all(journal->file_.get(), journal->path_);
  if (!text) return tl::make_unexpected(text.error());
  const auto read = read_lines(*text, journal->path_, take);
  if (!read) return tl::make_unexpected(read.error());
  const auto good = read->octets;
  if (good != text->size()) {
    if (ftruncate(journal->file_.get(), static_cast<off_t>(good)) != 0 || fsync(journal->file_.get()) != 0) {
      return fail_errno(fmt::format("cannot cut the torn end off {}", journal->path_), errno);
    }
  }
  journal->size_ = good;
  return journal;
}

Result<void> Journal::reopen() {
  file_ = Fd(::open(path_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!file_) return fail_errno(fmt::format("cannot open {}", path_), errno);
  return {};
}

tl::unexpected<Error> Journal::is_broken() const {
  return tl::make_unexpected(
      Error{fmt::format("{} could not be brought to disk", path_), "free or mend the disk, then restart"});
}

Result<std::uint64_t> Journal::write(std::string_view record) {
  const std::string line = line_of(record);
  const std::lock_guard lock(write_mutex_);
  if (broken_) return is_broken();
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t wrote = ::write(file_.get(), left.data(), left.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const int why = errno;
      if (ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) broken_ = true;
      return fail_errno(fmt::format("cannot write {}", path_), why, "is the disk full?");
    }
    left.remove_prefix(static_cast<std::size_t>(wrote));
  }
  size_ += line.size();
  written_ += line.size();
  return written_;
}

Result<void> Journal::sync(std::uint64_t position) {
  std::uint64_t reached = 0;
  {
    const std::lock_guard lock(write_mutex_);
    reached = written_;
  }
  const std::lock_guard lock(sync_mutex_);
  if (broken_) return is_broken();
  if (synced_ >= position) return {};
  if (fsync(file_.get()) != 0) {
    broken_ = true;
    return fail_errno(fmt::format("cannot bring {} to disk", path_), errno);
  }
  synced_ = std::max(synced_, reached);
  return {};
}

Result<void> Journal::sync() {
  std::uint64_t position = 0;
  {
    const std::lock_guard lock(write_mutex_);
    position = written_;
  }
  return sync(position);
}

Result<void> Journal::rewrite(const std::vector<std::string>& records) {
  std::string text;
  for (const auto& record : records) text += line_of(record);
  const std::scoped_lock lock(write_mutex_, sync_mutex_);
  if (broken_) return is_broken();
  if (auto replaced = replace_file(path_, text); !replaced) return replaced;
  if (auto opened = reopen(); !opened) {
    broken_ = true;  // what is written from here on would go to a file without a name
    return opened;
  }
  size_ = text.size();
  synced_ = written_;
  return {};
}

}  // namespace cortexflow::identity
