// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <csignal>

#include "agent/base/fd.h"

namespace cortexflow::source {
namespace {

struct FileActions {
  posix_spawn_file_actions_t value{};
  FileActions() { posix_spawn_file_actions_init(&value); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { posix_spawn_file_actions_destroy(&value); }
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> with_own(const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::string> out;
  for (char** at = environ; *at; ++at) out.emplace_back(*at);
  for (const auto& [name, value] : environment) {
    std::erase_if(out, [&](const auto& entry) { return entry.starts_with(name + "="); });
    out.push_back(name + "=" + value);
  }
  return out;
}

// All that comes until the end of the stream.
Result<std::string> read_until_end(int fd, std::chrono::steady_clock::time_point end, std::size_t octets_max) {
  std::string out;
  std::array<char, 4096> buffer{};
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd waiting{fd, POLLIN, 0};
    if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) == 0) return fail("it took too long");
    const auto got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("cannot read what it prints", errno);
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
    if (out.size() > octets_max) return fail("it printed more than {} octets", octets_max);
  }
}

}  // namespace

Result<std::string> child_output(const std::vector<std::string>& command,
                                 const std::vector<std::pair<std::string, std::string>>& environment,
                                 std::chrono::seconds time_max, std::size_t octets_max) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("cannot make a pipe", errno);
  const Fd reading(ends[0]);
  Fd writing(ends[1]);
  FileActions actions;
  posix_spawn_file_actions_addopen(&actions.value, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions.value, writing.get(), 1);
  auto arguments = command;
  auto variables = with_own(environment);
  pid_t child = -1;
  const int error = posix_spawnp(&child, command.front().c_str(), &actions.value, nullptr, pointers(arguments).data(),
                                 pointers(variables).data());
  writing = Fd();
  if (error != 0) return fail_errno("cannot be run", error);
  auto printed = read_until_end(reading.get(), std::chrono::steady_clock::now() + time_max, octets_max);
  if (!printed) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!printed) return printed;
  if (WIFSIGNALED(status)) return fail("it was ended by signal {}", WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return fail("it ended with status {}", WEXITSTATUS(status));
  return printed;
}

}  // namespace cortexflow::source
