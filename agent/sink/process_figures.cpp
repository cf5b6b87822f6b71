// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/process_figures.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace cortexflow::sink {
namespace {

// Seconds since the epoch at which the kernel started, from /proc/stat.
double boot_time_seconds() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("btime ")) continue;
    double seconds = 0;
    std::istringstream(line.substr(6)) >> seconds;
    return seconds;
  }
  return 0;
}

double count_open_fds() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end; at.increment(error))
    ++count;
  return count > 0 ? count - 1 : 0;  // without the one that lists them
}

}  // namespace

ProcessFigures read_process_figures() {
  ProcessFigures figures;
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  // Fields are counted from behind the command, which may hold spaces and parentheses: the state is field 3 (proc(5)).
  const std::size_t command_end = line.rfind(')');
  if (command_end != std::string::npos) {
    std::istringstream fields(line.substr(command_end + 1));
    const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    std::string field;
    for (int number = 3; number <= 24 && fields >> field; ++number) {
      double value = 0;
      std::istringstream(field) >> value;
      if (number == 14 || number == 15) figures.cpu_seconds += value / ticks;
      if (number == 22) figures.start_time_seconds = boot_time_seconds() + value / ticks;
      if (number == 24) figures.resident_bytes = value * static_cast<double>(::sysconf(_SC_PAGESIZE));
    }
  }
  figures.open_fds = count_open_fds();
  return figures;
}

}  // namespace cortexflow::sink
