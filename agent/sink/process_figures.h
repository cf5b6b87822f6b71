// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cortexflow::sink {

// This process, as /proc has it.
struct ProcessFigures {
  double resident_bytes = 0;
  double cpu_seconds = 0;         // user and system
  double start_time_seconds = 0;  // since the epoch
  double open_fds = 0;
};

// What cannot be read is 0.
ProcessFigures read_process_figures();

}  // namespace cortexflow::sink
