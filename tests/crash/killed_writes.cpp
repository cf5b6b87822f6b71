// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/killed_writes.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

namespace {

using cortexflow::test::Death;

// Of the child alone: the parent changes files without being counted.
struct Plan {
  bool counts = false;
  int left = 0;
  Death death = Death::kBefore;
  std::string directory;
  std::map<std::string, std::uintmax_t> synced;  // path -> size at its last fsync
};
Plan plan;

std::string path_of(int fd) {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  return error ? std::string() : path.string();
}

bool is_ours(const std::string& path) { return plan.counts && path.starts_with(plan.directory); }

void lose_unsynced() {
  for (const auto& file : std::filesystem::directory_iterator(plan.directory)) {
    const auto known = plan.synced.find(file.path());
    const auto size = known == plan.synced.end() ? 0 : known->second;
    if (file.is_regular_file() && file.file_size() > size) std::filesystem::resize_file(file.path(), size);
  }
}

[[noreturn]] void die() {
  if (plan.death == Death::kPowerLoss) lose_unsynced();
  kill(getpid(), SIGKILL);
  _exit(1);  // not reached
}

bool is_due(const std::string& path) { return is_ours(path) && --plan.left == 0; }

}  // namespace

extern "C" {

ssize_t __real_write(int fd, const void* data, size_t size);
int __real_fsync(int fd);
int __real_rename(const char* from, const char* to);
int __real_ftruncate(int fd, off_t size);

ssize_t __wrap_write(int fd, const void* data, size_t size) {
  if (is_due(path_of(fd))) {
    if (plan.death == Death::kHalfway) static_cast<void>(!__real_write(fd, data, size / 2));
    die();
  }
  return __real_write(fd, data, size);
}

int __wrap_fsync(int fd) {
  const auto path = path_of(fd);
  if (is_due(path)) die();
  struct stat status{};
  if (is_ours(path) && fstat(fd, &status) == 0) plan.synced[path] = static_cast<std::uintmax_t>(status.st_size);
  return __real_fsync(fd);
}

int __wrap_rename(const char* from, const char* to) {
  if (is_due(to)) die();
  if (is_ours(to)) plan.synced[to] = plan.synced[from];
  return __real_rename(from, to);
}

int __wrap_ftruncate(int fd, off_t size) {
  if (is_due(path_of(fd))) die();
  return __real_ftruncate(fd, size);
}
}

namespace cortexflow::test {

bool killed_at(int nth, Death death, const std::string& directory, const std::function<void()>& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    plan = {true, nth, death, directory, {}};
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
      if (file.is_regular_file()) plan.synced[file.path()] = file.file_size();
    }
    work();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status)) {
    REQUIRE(WEXITSTATUS(status) == 0);
    return false;
  }
  REQUIRE(WTERMSIG(status) == SIGKILL);
  return true;
}

}  // namespace cortexflow::test
