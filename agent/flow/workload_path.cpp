// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/workload_path.h"

#include <algorithm>
#include <array>
#include <string>

#include "agent/flow/printable.h"

namespace cortexflow::flow {
namespace {

constexpr std::size_t kContainerIdDigits = 64;
constexpr std::size_t kShortIdDigits = 12;
constexpr std::size_t kUidDigits = 32;
constexpr std::array<std::size_t, 4> kUidDashes{23, 18, 13, 8};  // last first, so that one's removal moves no other

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

void cut_suffix(std::string_view& text, std::string_view suffix) {
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
}

// "cri-containerd-<id>.scope", "docker-<id>.scope", "crio-<id>", "kubepods-pod<uid>.slice:cri-containerd:<id>", "<id>".
std::string_view container_id(std::string_view part) {
  cut_suffix(part, ".scope");
  if (part.size() < kContainerIdDigits) return {};
  const std::string_view id = part.substr(part.size() - kContainerIdDigits);
  const std::string_view runtime = part.substr(0, part.size() - kContainerIdDigits);
  if (!is_hex(id)) return {};
  // conmon is the container's watcher on the host, not the container.
  if (runtime.ends_with("conmon-")) return {};
  return runtime.empty() || runtime.ends_with('-') || runtime.ends_with(':') ? id : std::string_view{};
}

// A uid, or a static pod's hash, which has no dashes; the systemd driver writes '-' as '_'.
std::string pod_uid_text(std::string_view text) {
  std::string uid(text);
  std::replace(uid.begin(), uid.end(), '_', '-');
  std::string digits = uid;
  if (digits.size() == kUidDigits + kUidDashes.size()) {
    for (const std::size_t dash : kUidDashes) {
      if (digits[dash] == '-') digits.erase(dash, 1);
    }
  }
  return digits.size() == kUidDigits && is_hex(digits) ? uid : std::string{};
}

// "kubepods-burstable-pod<uid>.slice" anywhere, or "pod<uid>" below "kubepods".
std::string pod_uid(std::string_view part, bool below_kubepods) {
  if (below_kubepods && part.starts_with("pod")) return pod_uid_text(part.substr(3));
  const std::size_t pod = part.find("-pod");
  if (part.find("kubepods") >= pod || pod == std::string_view::npos) return {};
  const std::string_view rest = part.substr(pod + 4);
  const std::size_t slice = rest.find(".slice");
  return slice == std::string_view::npos ? std::string{} : pod_uid_text(rest.substr(0, slice));
}

bool is_unit(std::string_view part) { return part.ends_with(".service") || part.ends_with(".scope"); }

}  // namespace

model::Workload parse_workload(std::string_view cgroup_path) {
  model::Workload workload;
  if (cgroup_path.empty()) return workload;
  workload.cgroup_path = printable(std::string(cgroup_path));
  std::string_view unit;
  std::string_view last;
  bool below_kubepods = false;
  while (!cgroup_path.empty()) {
    const std::string_view part = cgroup_path.substr(0, cgroup_path.find('/'));
    cgroup_path.remove_prefix(std::min(cgroup_path.size(), part.size() + 1));
    if (part.empty()) continue;
    last = part;
    if (const auto id = container_id(part); !id.empty()) workload.container_id = id;
    if (auto uid = pod_uid(part, below_kubepods); !uid.empty()) workload.pod_uid = std::move(uid);
    if (is_unit(part)) unit = part;
    if (part.starts_with("kubepods")) below_kubepods = true;
  }
  if (!workload.container_id.empty()) {
    workload.name = workload.container_id.substr(0, kShortIdDigits);
  } else if (!unit.empty()) {
    workload.name = printable(std::string(unit));
  } else {
    workload.name = last.empty() ? "host" : printable(std::string(last));
  }
  return workload;
}

}  // namespace cortexflow::flow
