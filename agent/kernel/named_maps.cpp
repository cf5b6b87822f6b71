// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/named_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>

#include "agent/base/fd.h"
#include "agent/kernel/map_batches.h"

namespace cortexflow::kernel {
namespace {

bpf_map_info info_of(int fd) {
  bpf_map_info info{};
  __u32 length = sizeof info;
  return bpf_map_get_info_by_fd(fd, &info, &length) == 0 ? info : bpf_map_info{};
}

// The array that an entry of a map of arrays is.
Fd inner_map(int outer, const std::string& key) {
  __u32 id = 0;
  return bpf_map_lookup_elem(outer, key.data(), &id) == 0 ? Fd(bpf_map_get_fd_by_id(id)) : Fd();
}

Result<void> put_inner(int outer, std::string_view name, const std::string& key, const std::string& value) {
  const __u32 zero = 0;
  Fd inner = inner_map(outer, key);
  const bool fresh = !inner;
  if (fresh) {
    const auto size = static_cast<__u32>(value.size());
    const std::string shown(name.substr(0, BPF_OBJ_NAME_LEN - 1));
    inner = Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, shown.c_str(), sizeof zero, size, 1, nullptr));
    if (!inner) return fail_errno(fmt::format("cannot make an entry of {}", name), errno);
  }
  if (info_of(inner.get()).value_size != value.size()) return fail("an entry of {} octets for {}", value.size(), name);
  const int inner_fd = inner.get();
  if (bpf_map_update_elem(inner_fd, &zero, value.data(), BPF_ANY) != 0 ||
      (fresh && bpf_map_update_elem(outer, key.data(), &inner_fd, BPF_ANY) != 0)) {
    return fail_errno(fmt::format("cannot write {}", name), errno);
  }
  return {};
}

std::optional<std::string> find_inner(int outer, const std::string& key) {
  const __u32 zero = 0;
  const Fd inner = inner_map(outer, key);
  if (!inner) return std::nullopt;
  std::string value(info_of(inner.get()).value_size, '\0');
  if (bpf_map_lookup_elem(inner.get(), &zero, value.data()) != 0) return std::nullopt;
  return value;
}

}  // namespace

void NamedMaps::add(const bpf_object* object) {
  const bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) add(bpf_map__name(map), bpf_map__fd(map));
}

void NamedMaps::add(const std::string& name, int fd) {
  const auto info = info_of(fd);
  maps_[name] = {fd, info.type, info.key_size, info.value_size, info.max_entries};
}

const NamedMaps::One* NamedMaps::one(std::string_view map) const {
  const auto found = maps_.find(map);
  return found == maps_.end() ? nullptr : &found->second;
}

int NamedMaps::fd(std::string_view map) const {
  const auto* found = one(map);
  return found ? found->fd : -1;
}

Result<void> NamedMaps::put(std::string_view map, const std::string& key, const std::string& value) {
  const auto* found = one(map);
  if (!found) return fail("there is no map {}", map);
  if (found->type == BPF_MAP_TYPE_ARRAY_OF_MAPS) return put_inner(found->fd, map, key, value);
  if (bpf_map_update_elem(found->fd, key.data(), value.data(), BPF_ANY) != 0) {
    return fail_errno(fmt::format("cannot write {}", map), errno);
  }
  return {};
}

Result<void> NamedMaps::erase(std::string_view map, const std::string& key) {
  const auto* found = one(map);
  if (!found) return fail("there is no map {}", map);
  if (bpf_map_delete_elem(found->fd, key.data()) != 0 && errno != ENOENT) {
    return fail_errno(fmt::format("cannot erase from {}", map), errno);
  }
  return {};
}

std::optional<std::string> NamedMaps::find(std::string_view map, const std::string& key) const {
  const auto* found = one(map);
  if (!found) return std::nullopt;
  if (found->type == BPF_MAP_TYPE_ARRAY_OF_MAPS) return find_inner(found->fd, key);
  std::string value(found->value_size, '\0');
  if (bpf_map_lookup_elem(found->fd, key.data(), value.data()) != 0) return std::nullopt;
  return value;
}

NamedMaps::Entries NamedMaps::read(std::string_view map) const {
  Entries out;
  const auto* found = one(map);
  if (!found) return out;
  std::string key(found->key_size, '\0'), next(found->key_size, '\0');
  for (const char* at = nullptr;
       out.size() < found->max_entries && bpf_map_get_next_key(found->fd, at, next.data()) == 0; at = key.data()) {
    key = next;
    if (auto value = find(map, key)) out.emplace_back(key, std::move(*value));
  }
  return out;
}

void NamedMaps::each(std::string_view map, const std::function<void(const void* key, const void* value)>& take) const {
  const auto* found = one(map);
  if (!found) return;
  const bool all = each_batch(found->fd, [&](std::size_t count, const char* keys, const char* values) {
    for (std::size_t i = 0; i < count; ++i) take(keys + i * found->key_size, values + i * found->value_size);
  });
  if (all) return;
  for (const auto& [key, value] : read(map)) take(key.data(), value.data());
}

std::uint64_t NamedMaps::sum(std::string_view map, std::uint32_t index) const {
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  std::uint64_t out = 0;
  if (bpf_map_lookup_elem(fd(map), &index, per_cpu.data()) != 0) return 0;
  for (const auto value : per_cpu) out += value;
  return out;
}

std::vector<MapInfo> NamedMaps::maps() const {
  std::vector<MapInfo> out;
  for (const auto& [name, map] : maps_) {
    if (map.type != BPF_MAP_TYPE_HASH && map.type != BPF_MAP_TYPE_LRU_HASH && map.type != BPF_MAP_TYPE_LPM_TRIE) {
      continue;
    }
    out.push_back({name, count_entries(map.fd, map.key_size, map.max_entries), map.max_entries});
  }
  return out;
}

}  // namespace cortexflow::kernel
