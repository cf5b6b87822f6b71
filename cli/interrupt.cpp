// SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

#include <poll.h>
#include <signal.h>

#include <array>

namespace cortexflow::cli {
namespace {

constexpr std::array<int, 4> kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// All that a signal handler can reach.
volatile sig_atomic_t seen = 0;
void (*end_hook)() = nullptr;

void on_signal(int number) {
  if (seen == 0) {
    seen = 1;
    return;
  }
  if (end_hook != nullptr) end_hook();
  signal(number, SIG_DFL);
  raise(number);  // comes when this handler returns
}

}  // namespace

void catch_interrupts(void (*before_end)()) {
  end_hook = before_end;
  for (const int number : kSignals) {
    struct sigaction action{};
    const bool ignored = sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
    if (ignored && number == SIGHUP) continue;  // nohup; a script's background jobs ignore SIGINT, and must still end
    action = {};
    action.sa_handler = on_signal;
    sigaction(number, &action, nullptr);
  }
}

bool interrupted() { return seen != 0; }

void wait_for_interrupt(std::chrono::milliseconds time) {
  sigset_t all;
  sigset_t before;
  sigemptyset(&all);
  for (const int number : kSignals) sigaddset(&all, number);
  // Blocked between the look and the wait, so that none slips in between.
  sigprocmask(SIG_BLOCK, &all, &before);
  if (!interrupted()) {
    const timespec timeout{time.count() / 1000, (time.count() % 1000) * 1'000'000};
    ppoll(nullptr, 0, &timeout, &before);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace cortexflow::cli
