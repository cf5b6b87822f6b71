// SPDX-License-Identifier: Apache-2.0
// Any text as a time, a duration, an address or a whole query: refused, or within bounds and the same when written
// again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/control/flow_top.h"
#include "agent/control/lookup_top.h"
#include "agent/control/time_text.h"
#include "agent/model/address_port.h"

namespace {

using namespace cortexflow;
using namespace cortexflow::control;
using std::chrono::system_clock;

constexpr system_clock::time_point kNow{std::chrono::seconds(1'700'000'000)};

void require(bool holds) {
  if (!holds) std::abort();
}

void check_time(const std::string& text) {
  if (const auto duration = parse_duration(text)) require(duration->count() >= 0);
  if (const auto time = parse_time(text)) require(parse_time(time_text(*time)) == time);
  if (const auto since = parse_since(text, kNow)) require(*since >= system_clock::time_point{});
}

void check_endpoint(const std::string& text) {
  const auto endpoint = model::parse_address_port(text);
  if (!endpoint) return;
  const std::string address = endpoint->address.to_string();
  const auto again =
      model::parse_address_port(endpoint->port ? model::address_port_text(address, *endpoint->port) : address);
  require(again && again->address.octets == endpoint->address.octets && again->port == endpoint->port);
}

// "name=value&name=value", as the HTTP library has already unescaped it.
Parameters split(const std::string& text) {
  Parameters parameters;
  for (std::size_t at = 0; at < text.size();) {
    const std::string item = text.substr(at, text.find('&', at) - at);
    at += item.size() + 1;
    const auto equals = item.find('=');
    if (equals != std::string::npos) parameters.emplace(item.substr(0, equals), item.substr(equals + 1));
  }
  return parameters;
}

template <typename Row>
void check_query(const std::string& text) {
  const auto parameters = split(text);
  const auto names = check_names(parameters, TopQuery<Row>::parameters());
  const auto query = TopQuery<Row>::parse(parameters, kNow);
  if (!names || !query) return;
  require(query->limit >= 1 && query->limit <= kTopLimitMax);
  require(!query->since || *query->since >= system_clock::time_point{});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  check_time(text);
  check_endpoint(text);
  check_query<LookupRow>(text);
  check_query<FlowRow>(text);
  return 0;
}
