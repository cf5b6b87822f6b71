// SPDX-License-Identifier: Apache-2.0
// cfcli in a process of its own.
#pragma once

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "tests/unit/paths.h"

namespace cortexflow::test {

// Where a program's output goes.
enum class Output { kPipe, kTerminal };

// kModes: file modes hold for it, though it is root.
enum class Rights { kAll, kModes };

// What it begins with: kIgnored as under nohup, or behind a script's "&".  Not what the tests were begun with.
enum class Signals { kHeard, kIgnored };

class CliProcess {
 public:
  CliProcess(std::vector<std::string> arguments, Output output, Rights rights = Rights::kAll,
             Signals signals = Signals::kHeard) {
    int error_pipe[2];
    REQUIRE(pipe2(error_pipe, O_CLOEXEC) == 0);
    int output_pipe[2];
    winsize size{24, 100, 0, 0};
    const bool terminal = output == Output::kTerminal;
    REQUIRE((terminal ? openpty(&output_pipe[0], &output_pipe[1], nullptr, nullptr, &size)
                      : pipe2(output_pipe, O_CLOEXEC)) == 0);
    for (const int end : output_pipe) fcntl(end, F_SETFD, FD_CLOEXEC);  // openpty can't
    std::vector<char*> argv{const_cast<char*>(kCfcli)};
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      dup2(output_pipe[1], STDOUT_FILENO);
      dup2(error_pipe[1], STDERR_FILENO);
      for (const int number : {SIGHUP, SIGINT}) signal(number, signals == Signals::kIgnored ? SIG_IGN : SIG_DFL);
      if (rights == Rights::kModes) prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(output_pipe[1]);
    close(error_pipe[1]);
    out_ = Fd(output_pipe[0]);
    err_ = Fd(error_pipe[0]);
  }
  CliProcess(const CliProcess&) = delete;
  CliProcess& operator=(const CliProcess&) = delete;
  ~CliProcess() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  // Reads its output until `wanted` is in it behind the first `from` octets, or it ends; all that it has given so far.
  const std::string& read_until(const std::string& wanted, std::size_t from = 0) {
    while (text_.find(wanted, from) == std::string::npos && read_some(out_, text_)) continue;
    return text_;
  }
  void send(int signal_number) const { REQUIRE(kill(pid_, signal_number) == 0); }
  // Waits until it is stopped, as by Ctrl-Z.
  void wait_stopped() const {
    int status = 0;
    REQUIRE(waitpid(pid_, &status, WUNTRACED) == pid_);
    REQUIRE(WIFSTOPPED(status));
  }
  // Waits for its end; the exit status, or minus the signal.
  int wait() {
    constexpr std::chrono::seconds kMost{60};  // one that goes on talking never falls silent
    const auto end = std::chrono::steady_clock::now() + kMost;
    while (std::chrono::steady_clock::now() < end && read_some(out_, text_)) continue;
    if (std::chrono::steady_clock::now() >= end) kill(pid_, SIGKILL);
    while (read_some(err_, errors_)) continue;
    if (silent_) kill(pid_, SIGKILL);  // fails the test instead of waiting on
    int status = 0;
    REQUIRE(waitpid(pid_, &status, 0) == pid_);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& text() const { return text_; }
  const std::string& errors() const { return errors_; }

 private:
  bool read_some(const Fd& from, std::string& to) {
    constexpr int kPatienceMs = 20'000;  // of a machine under load
    pollfd ready{from.get(), POLLIN, 0};
    if (poll(&ready, 1, kPatienceMs) <= 0) {
      silent_ = true;
      return false;
    }
    char buffer[4096];
    const auto size = read(from.get(), buffer, sizeof buffer);  // EIO where a terminal's other end is closed
    if (size <= 0) return false;
    to.append(buffer, static_cast<std::size_t>(size));
    return true;
  }

  pid_t pid_ = 0;
  bool silent_ = false;
  Fd out_;
  Fd err_;
  std::string text_;
  std::string errors_;
};

struct CliResult {
  int status;
  std::string out;
  std::string err;
};

inline CliResult run_cli(std::vector<std::string> arguments, Rights rights = Rights::kAll) {
  CliProcess process(std::move(arguments), Output::kPipe, rights);
  const int status = process.wait();
  return {status, process.text(), process.errors()};
}

}  // namespace cortexflow::test
