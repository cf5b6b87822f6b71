// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/pinned_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <filesystem>
#include <utility>

#include "agent/base/fd.h"

namespace cortexflow::kernel {
namespace {

bool same_layout(const bpf_map* map, int fd) {
  bpf_map_info info{};
  __u32 length = sizeof info;
  return bpf_map_get_info_by_fd(fd, &info, &length) == 0 && info.type == bpf_map__type(map) &&
         info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
         info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

std::string pin_of(const bpf_map* map, const std::string& directory) {
  return fmt::format("{}/{}", directory, bpf_map__name(map));
}

}  // namespace

std::vector<bpf_map*> maps_of(const bpf_object* object) {
  std::vector<bpf_map*> out;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!bpf_map__is_internal(map)) out.push_back(map);
  }
  return out;
}

bool reuse_pinned_maps(const std::vector<bpf_map*>& maps, const std::string& directory) {
  std::vector<std::pair<bpf_map*, Fd>> found;
  for (bpf_map* map : maps) {
    Fd fd(bpf_obj_get(pin_of(map, directory).c_str()));
    if (!fd || !same_layout(map, fd.get())) return false;
    found.emplace_back(map, std::move(fd));
  }
  for (const auto& [map, fd] : found) {
    if (bpf_map__reuse_fd(map, fd.get()) != 0) return false;
  }
  return true;
}

Result<void> pin_maps(const std::vector<bpf_map*>& maps, const std::string& directory) {
  for (bpf_map* map : maps) {
    if (bpf_map__is_pinned(map)) continue;
    const auto path = pin_of(map, directory);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);  // another layout's
    if (const int error = bpf_map__pin(map, path.c_str()); error != 0) {
      return fail_errno(fmt::format("cannot pin {}", path), -error);
    }
  }
  return {};
}

}  // namespace cortexflow::kernel
