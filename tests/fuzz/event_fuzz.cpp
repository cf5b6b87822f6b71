// SPDX-License-Identifier: Apache-2.0
// Any octets in a ring: what its decoder lets through keeps the ABI's bounds, and becomes JSON or a named error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "agent/control/json.h"
#include "agent/events/dns_event.h"
#include "agent/events/flow_event.h"
#include "agent/events/policy_event.h"
#include "agent/flow/flow_builder.h"
#include "agent/flow/lookup_builder.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void require_checked(const cf_dns_lookup& record, const std::uint8_t* data, std::size_t size) {
  const std::size_t name_len = record.query.name_len;
  require(name_len <= CF_DNS_NAME_MAX && CF_DNS_LOOKUP_FIXED + name_len <= size);
  require(std::memcmp(&record, data, CF_DNS_LOOKUP_FIXED + name_len) == 0);
}

template <typename Decoded>
void try_flow(const Decoded& decoded, cortexflow::flow::WorkloadResolver& workloads) {
  using namespace cortexflow;
  if (!decoded) return require(events::cause(decoded.error()).starts_with("record_"));
  const auto flow = flow::build(*decoded, std::chrono::seconds(1'700'000'000), workloads);
  require(nlohmann::json::parse(control::to_json(flow).dump())["comm"] == flow.comm);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cortexflow;
  static flow::WorkloadResolver workloads(
      {[](std::uint64_t id) { return std::optional<std::string>("/system.slice/" + std::to_string(id) + ".service"); },
       [](std::uint32_t) { return std::optional<std::string>(); },
       [] { return std::chrono::steady_clock::time_point{}; }});
  // In a room of its very size, so that a read behind it is found.
  const auto exact = std::make_unique<std::byte[]>(size);
  std::transform(data, data + size, exact.get(), [](std::uint8_t octet) { return std::byte{octet}; });

  try_flow(events::decode_flow({exact.get(), size}), workloads);
  try_flow(events::decode_policy({exact.get(), size}), workloads);
  const auto record = events::decode_dns_lookup({exact.get(), size});
  if (!record) {
    require(events::cause(record.error()).starts_with("record_"));
    return 0;
  }
  require_checked(*record, data, size);
  const auto lookup = flow::build(*record, std::chrono::seconds(1'700'000'000), workloads);
  if (!lookup) {
    require(!lookup.error().message.empty());
    return 0;
  }
  const std::string text = control::to_json(*lookup).dump();  // throws for what is not UTF-8
  require(nlohmann::json::parse(text)["name"] == lookup->name);
  return 0;
}
