// SPDX-License-Identifier: Apache-2.0
#include "cli/screen.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string_view>

namespace cortexflow::cli {
namespace {

// xterm's control sequences (ctlseqs), which all of today's terminals know.
constexpr std::string_view kEnter = "\033[?1049h\033[?25l";  // alternate screen, no cursor
constexpr std::string_view kLeave = "\033[?25h\033[?1049l";
constexpr std::string_view kHome = "\033[H";
constexpr std::string_view kClearLine = "\033[2K";
constexpr std::string_view kClearBelow = "\033[J";

void put(std::string_view text) {
  while (!text.empty()) {
    const auto written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void on_stop(int) {
  const int before = errno;
  put(kLeave);
  raise(SIGSTOP);
  put(kEnter);
  errno = before;
}

winsize size() {
  winsize found{};
  ioctl(STDOUT_FILENO, TIOCGWINSZ, &found);
  if (found.ws_row == 0) found.ws_row = 24;
  if (found.ws_col == 0) found.ws_col = 80;
  return found;
}

}  // namespace

Screen::Screen() {
  struct sigaction action{};
  action.sa_handler = on_stop;
  sigaction(SIGTSTP, &action, nullptr);
  put(kEnter);
}

Screen::~Screen() {
  signal(SIGTSTP, SIG_DFL);
  leave();
}

void Screen::leave() { put(kLeave); }

std::size_t Screen::rows() const { return size().ws_row; }

void Screen::draw(const std::string& text) const {
  const auto now = size();
  put(frame(text, now.ws_row, now.ws_col));
}

std::string frame(const std::string& text, std::size_t rows, std::size_t columns) {
  std::string out(kHome);
  std::istringstream lines(text);
  std::string line;
  std::size_t row = 0;
  for (; row < rows && std::getline(lines, line); ++row) {
    if (row != 0) out += "\r\n";  // none behind the last row: it would scroll
    // Cleared before it is written: behind a full line the cursor still stands on its last character.
    out += kClearLine;
    out += line.substr(0, columns);
  }
  if (row < rows) out.append(row == 0 ? "" : "\r\n").append(kClearBelow);
  return out;
}

}  // namespace cortexflow::cli
