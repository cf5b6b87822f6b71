// SPDX-License-Identifier: Apache-2.0
// Any octets as agent.yaml: settings within their bounds, or an error that names the file and changes nothing.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/source/settings.h"

namespace {

using cortexflow::source::Settings;

void require(bool holds) {
  if (!holds) std::abort();
}

// read_file takes a path: this one is in memory.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("agent.yaml", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {
    require(fd_ >= 0);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(fd_); }

  void fill(const std::uint8_t* data, std::size_t size) const {
    require(ftruncate(fd_, 0) == 0 && pwrite(fd_, data, size, 0) == static_cast<ssize_t>(size));
  }
  const std::string& path() const { return path_; }

 private:
  int fd_;
  std::string path_;
};

void require_valid(const Settings& settings) {
  const auto& ports = settings.dns_ports;
  require(!ports.empty() && ports.size() <= 8 && std::find(ports.begin(), ports.end(), 0) == ports.end());
  require(settings.dns_timeout >= std::chrono::milliseconds(100) && settings.dns_timeout <= std::chrono::minutes(5));
  require(settings.dns_metric_names <= 10000);
  require(settings.log_format == "text" || settings.log_format == "json");
  require(!settings.control_socket.empty() && !settings.pin_path.empty());
  require(settings.metrics_listen.find(':') != std::string::npos);
}

bool are_defaults(const Settings& settings) {
  const Settings defaults;
  return settings.config_file.empty() && settings.node_name == defaults.node_name &&
         settings.control_socket == defaults.control_socket && settings.metrics_listen == defaults.metrics_listen &&
         settings.pin_path == defaults.pin_path && settings.log_level == defaults.log_level &&
         settings.dns_ports == defaults.dns_ports && settings.dns_timeout == defaults.dns_timeout &&
         settings.dns_metric_names == defaults.dns_metric_names;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  file.fill(data, size);
  Settings settings;
  if (const auto read = cortexflow::source::read_file(file.path(), settings); !read) {
    require(read.error().message.starts_with(file.path() + ":") && are_defaults(settings));
    return 0;
  }
  require(settings.config_file == file.path());
  require_valid(settings);
  return 0;
}
