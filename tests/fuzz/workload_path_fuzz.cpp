// SPDX-License-Identifier: Apache-2.0
// Any cgroup path (a container chooses its own part of it): printable, and ids are ids or nothing.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/flow/workload_path.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

bool is_hex(const std::string& text) { return text.find_first_not_of("0123456789abcdef-") == std::string::npos; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path(data, data + size);
  const auto workload = cortexflow::flow::parse_workload(path);
  require(is_printable(workload.cgroup_path) && is_printable(workload.name));
  require(workload.cgroup_path.size() == size && workload.name.empty() == path.empty());
  require(workload.container_id.empty() || (workload.container_id.size() == 64 && is_hex(workload.container_id)));
  const std::size_t uid = workload.pod_uid.size();
  require((uid == 0 || uid == 32 || uid == 36) && is_hex(workload.pod_uid));
  require(workload.pod_uid.find("--") == std::string::npos);
  return 0;
}
