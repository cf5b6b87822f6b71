// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/edge_tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "agent/kernel/interface_watch.h"
#include "agent/kernel/pinned_maps.h"
#include "edge.skel.h"

namespace cortexflow::kernel {
namespace {

constexpr const char* kOutBefore = "edge_if";
constexpr std::string_view kLinkBefore = "edge_", kLinkAfter = "_link";

std::string link_name(const std::string& interface) {
  return fmt::format("{}{}{}", kLinkBefore, interface, kLinkAfter);
}

// Of links and tables.
std::vector<std::filesystem::path> pins_left(const std::string& pin_path) {
  std::error_code ignored;
  std::vector<std::filesystem::path> out;
  for (const auto& file : std::filesystem::directory_iterator(pin_path, ignored)) {
    if (file.path().filename().string().starts_with(kLinkBefore)) out.push_back(file.path());
  }
  return out;
}

// By index, as attach_tc() goes.
std::string out_pins_below(const std::string& pin_path, int interface) {
  return fmt::format("{}/{}{}", pin_path, kOutBefore, interface);
}

}  // namespace

Result<std::unique_ptr<EdgeTables>> EdgeTables::open(const EdgeTablesOptions& options) {
  std::unique_ptr<EdgeTables> tables(new EdgeTables(options));
  if (auto loaded = tables->load(); !loaded) return tl::make_unexpected(std::move(loaded.error()));
  return tables;
}

Result<void> EdgeTables::try_load() {
  EdgeTables tables({"", false, 1024, 1024, 1024, 1024});
  return tables.load();
}

EdgeTables::~EdgeTables() {
  if (!options_.keep_on_exit) remove_pins();
  links_.clear();
  edge_bpf__destroy(skeleton_);
}

std::string EdgeTables::pin_of(std::string_view name) const { return fmt::format("{}/{}", options_.pin_path, name); }

// What a next agent takes over: all but the packet in hand.
std::vector<bpf_map*> EdgeTables::kept_maps() const {
  auto maps = maps_of(skeleton_->obj);
  std::erase(maps, skeleton_->maps.edge_packets);
  return maps;
}

Result<void> EdgeTables::load() {
  skeleton_ = edge_bpf__open();
  if (!skeleton_) return fail_errno("cannot open the edge program", errno);
  bpf_map__set_max_entries(skeleton_->maps.edge_nat, options_.translations);
  bpf_map__set_max_entries(skeleton_->maps.edge_opening, options_.opening);
  bpf_map__set_max_entries(skeleton_->maps.edge_pins, options_.pins);
  bpf_map__set_max_entries(skeleton_->maps.edge_candidates, options_.candidates);
  adopted_ = reuse_pinned_maps(kept_maps(), options_.pin_path);
  if (const int error = edge_bpf__load(skeleton_); error != 0) {
    return fail_errno("the kernel refused the edge program", -error,
                      "run with --log-level debug for the verifier's words");
  }
  add(skeleton_->obj);
  return {};
}

Result<EdgeAttachment> EdgeTables::attach(const std::string& interface, XdpMode mode) {
  const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (const auto had = links_.find(interface); had != links_.end() && had->second.index != index) detach(interface);
  if (index == 0) return fail_errno(fmt::format("no interface {}", interface), errno, "see: ip link");
  if (!adopted_) {
    if (auto pinned = pin_maps(kept_maps(), options_.pin_path); !pinned)
      return tl::make_unexpected(std::move(pinned.error()));
  }
  if (!is_ethernet(interface)) return fail("{} is no Ethernet interface", interface);
  EdgeAttachment out{interface, false, TcHook::kTcx, {}};
  // The way out first: a packet that comes in may be answered at once.
  const bool was_out = is_tc_attached(index, out_programs(), out_pins_of(index));
  auto hook = attach_tc(index, out_programs(), out_pins_of(index));
  if (!hook) return tl::make_unexpected(std::move(hook.error()));
  out.out = *hook;
  auto link = attach_xdp(index, mode, out);
  if (!link) {
    if (!was_out) detach_tc(index, TcUser::kEdge, out_pins_of(index));
    return tl::make_unexpected(std::move(link.error()));
  }
  links_[interface] = {index, std::move(*link)};
  return out;
}

Result<Fd> EdgeTables::attach_xdp(int index, XdpMode mode, EdgeAttachment& out) {
  const auto& interface = out.interface;
  const auto path = pin_of(link_name(interface));
  Fd link(bpf_obj_get(path.c_str()));
  bpf_link_info info{};
  __u32 length = sizeof info;
  __u32 id = 0;
  const bool native = bpf_xdp_query_id(index, XDP_FLAGS_DRV_MODE, &id) == 0 && id != 0;
  const bool fits = mode == XdpMode::kNativeOrGeneric || native == (mode == XdpMode::kNative);
  if (link && fits && bpf_link_get_info_by_fd(link.get(), &info, &length) == 0 &&
      static_cast<int>(info.xdp.ifindex) == index && bpf_link_update(link.get(), program_fd(), nullptr) == 0) {
    out.native = native;
    return link;
  }
  link = Fd();
  std::error_code ignored;
  std::filesystem::remove(path, ignored);  // its interface has gone
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = XDP_FLAGS_DRV_MODE;
  int error = EOPNOTSUPP;
  if (mode != XdpMode::kGeneric) {
    const int fd = bpf_link_create(program_fd(), index, BPF_XDP, &options);
    if (fd < 0) error = errno;
    link = Fd(fd);
    out.native = fd >= 0;
  }
  if (!link && error != EBUSY && mode != XdpMode::kNative) {
    if (mode == XdpMode::kNativeOrGeneric) {
      out.remarks.push_back(fmt::format("the driver of {} does not run XDP ({}): packets take the slower, generic way",
                                        interface, std::strerror(error)));
    }
    options.flags = XDP_FLAGS_SKB_MODE;
    const int fd = bpf_link_create(program_fd(), index, BPF_XDP, &options);
    if (fd < 0) error = errno;
    link = Fd(fd);
  }
  if (!link) {
    return fail_errno(
        fmt::format("cannot attach the edge to {}", interface), error,
        error == EBUSY ? fmt::format("another XDP program is there; see: ip link show {}", interface) : std::string());
  }
  if (bpf_obj_pin(link.get(), path.c_str()) != 0) return fail_errno(fmt::format("cannot pin {}", path), errno);
  return link;
}

void EdgeTables::detach(const std::string& interface) {
  std::error_code ignored;
  std::filesystem::remove(pin_of(link_name(interface)), ignored);
  const auto found = links_.find(interface);
  if (found == links_.end()) return;
  detach_tc(found->second.index, TcUser::kEdge, out_pins_of(found->second.index));
  links_.erase(found);
}

void EdgeTables::detach_others(const std::set<std::string>& interfaces) {
  std::error_code ignored;
  std::vector<std::filesystem::path> old;
  for (const auto& file : std::filesystem::directory_iterator(options_.pin_path, ignored)) {
    const auto name = file.path().filename().string();
    if (!name.starts_with(kLinkBefore) || !name.ends_with(kLinkAfter) || name.size() <= link_name("").size()) continue;
    const auto interface = name.substr(kLinkBefore.size(), name.size() - link_name("").size());
    if (!interfaces.contains(interface)) old.push_back(file.path());
  }
  for (const auto& path : old) std::filesystem::remove(path, ignored);
  detach_ways_out(options_.pin_path, interfaces);
}

// Of these that have another name by now too, or are gone.
void EdgeTables::detach_ways_out(const std::string& pin_path, const std::set<std::string>& but) {
  std::set<std::string> stay;
  for (const auto& one : InterfaceWatch::list()) {
    if (but.contains(one.name)) {
      stay.insert(out_pins_below(pin_path, one.index) + "_");
    } else {
      detach_tc(one.index, TcUser::kEdge, out_pins_below(pin_path, one.index));
    }
  }
  std::error_code ignored;
  std::vector<std::filesystem::path> gone;
  for (const auto& file : std::filesystem::directory_iterator(pin_path, ignored)) {
    const auto path = file.path().string();
    if (!path.starts_with(pin_path + "/" + kOutBefore)) continue;
    if (std::none_of(stay.begin(), stay.end(), [&](const auto& one) { return path.starts_with(one); })) {
      gone.push_back(file.path());
    }
  }
  for (const auto& path : gone) std::filesystem::remove(path, ignored);
}

void EdgeTables::remove_left(const std::string& pin_path) {
  detach_ways_out(pin_path, {});
  std::error_code ignored;
  for (const auto& path : pins_left(pin_path)) std::filesystem::remove(path, ignored);
}

bool EdgeTables::is_left(const std::string& pin_path) { return !pins_left(pin_path).empty(); }

bool EdgeTables::is_attached(const std::string& interface) const {
  const auto found = links_.find(interface);
  bpf_link_info info{};
  __u32 length = sizeof info;
  return found != links_.end() && bpf_link_get_info_by_fd(found->second.xdp.get(), &info, &length) == 0 &&
         info.xdp.ifindex != 0 && info.xdp.ifindex == if_nametoindex(interface.c_str()) &&
         is_tc_attached(found->second.index, out_programs(), out_pins_of(found->second.index));
}

void EdgeTables::remove_pins() {
  if (!skeleton_) return;
  std::error_code ignored;
  for (const auto& [interface, links] : links_) {
    std::filesystem::remove(pin_of(link_name(interface)), ignored);
    detach_tc(links.index, TcUser::kEdge, out_pins_of(links.index));
  }
  if (!links_.empty() || adopted_) {
    for (const auto* map : kept_maps()) std::filesystem::remove(pin_of(bpf_map__name(map)), ignored);
  }
  std::filesystem::remove(options_.pin_path, ignored);  // unless others' pins are in it
}

std::set<std::uint32_t> EdgeTables::drop_pins(const std::function<bool(std::uint32_t id)>& gone) {
  std::set<std::uint32_t> out;
  const int fd = bpf_map__fd(skeleton_->maps.edge_pins);
  constexpr __u32 kBatch = 4096;
  std::vector<cf_edge_flow> keys(kBatch);
  std::vector<cf_edge_pin> values(kBatch);
  std::vector<cf_edge_flow> old;
  __u32 place = 0;
  for (bool first = true, last = false; !last; first = false) {
    __u32 count = kBatch;
    // A bucket has to fit: buckets of an LRU map hold few.
    last = bpf_map_lookup_batch(fd, first ? nullptr : &place, &place, keys.data(), values.data(), &count, nullptr) != 0;
    if (last && errno != ENOENT) break;
    for (__u32 i = 0; i < count; ++i) {
      if (gone(values[i].id)) {
        old.push_back(keys[i]);
      } else {
        out.insert(values[i].id);
      }
    }
  }
  for (const auto& key : old) bpf_map_delete_elem(fd, &key);
  return out;
}

std::set<std::array<std::uint8_t, 16>> EdgeTables::unreached() const {
  constexpr std::int64_t kTicks = 2;
  const auto now = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count() >> 30;
  std::set<std::array<std::uint8_t, 16>> out;
  std::vector<cf_edge_hop> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (__u32 index = 0; index < CF_EDGE_HOPS; ++index) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.edge_hops), &index, per_cpu.data()) != 0) continue;
    for (const auto& hop : per_cpu) {
      if (hop.tick != 0 && hop.interface == 0 && now - hop.tick <= kTicks) out.insert(std::to_array(hop.address));
    }
  }
  return out;
}

int EdgeTables::program_fd() const { return bpf_program__fd(skeleton_->progs.edge); }

int EdgeTables::out_program_fd() const { return bpf_program__fd(skeleton_->progs.edge_out); }

std::string EdgeTables::out_pins_of(int interface) const { return out_pins_below(options_.pin_path, interface); }

std::vector<ProgramInfo> EdgeTables::programs() const {
  std::vector<ProgramInfo> out{describe_program(program_fd()), describe_program(out_program_fd())};
  for (auto& program : out) {
    for (const auto& [interface, links] : links_) {
      program.attached_to += (program.attached_to.empty() ? "" : ",") + interface;
    }
  }
  out[0].pin = pin_of("edge_*_link");
  out[1].pin = pin_of("edge_if*_egress");
  return out;
}

}  // namespace cortexflow::kernel
