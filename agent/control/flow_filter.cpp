// SPDX-License-Identifier: Apache-2.0
#include "agent/control/flow_filter.h"

#include <fnmatch.h>

#include <algorithm>
#include <limits>

#include "agent/control/json.h"
#include "agent/control/time_text.h"
#include "agent/control/workload_match.h"
#include "agent/model/address_port.h"

namespace cortexflow::control {
namespace {

using model::Flow;

struct Side {
  const model::Workload& workload;
  const model::IpAddress& address;
  std::uint16_t port;
};

Side own_of(const Flow& flow) { return {flow.workload, flow.local, flow.local_port}; }
Side peer_of(const Flow& flow) { return {flow.peer, flow.remote, flow.remote_port}; }
bool opened(const Flow& flow) { return flow.direction == model::FlowDirection::kOut; }
Side from_of(const Flow& flow) { return opened(flow) ? own_of(flow) : peer_of(flow); }
Side to_of(const Flow& flow) { return opened(flow) ? peer_of(flow) : own_of(flow); }

bool glob(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
}

// A rule, "shop/allow-web[0]", is also called by its policy's name; brackets are no pattern here.
bool is_rule(const std::string& wanted, const std::string& rule) {
  return wanted == rule || glob(wanted, rule.substr(0, rule.find('[')));
}

using AddressTest = std::optional<model::AddressPort>;

bool is_at(const AddressTest& wanted, const model::IpAddress& address, std::uint16_t port) {
  return wanted && address == wanted->address && (!wanted->port || *wanted->port == port);
}

bool is(const Side& side, const std::string& name, const AddressTest& address) {
  return address ? is_at(address, side.address, side.port) : is_called(side.workload, name);
}

}  // namespace

const std::vector<std::string>& policy_verdict_names() {
  static const std::vector<std::string> kNames{"unselected",
                                               "own",
                                               "allowed",
                                               "not_denied",
                                               "answer",
                                               "would_deny",
                                               "would_not_allow",
                                               "node",
                                               "unknown_passed",
                                               "unknown_audited",
                                               "denied",
                                               "not_allowed",
                                               "not_in_network",
                                               "unknown_denied",
                                               "closed",
                                               "unreadable",
                                               "boot"};
  return kNames;
}

template <>
const std::vector<std::string>& FlowFilter::fields() {
  static const std::vector<std::string> kFields{
      "from",      "to",      "workload", "namespace", "address", "service", "port",         "process",    "pid",
      "direction", "outcome", "failed",   "protocol",  "verdict", "rule",    "min_duration", "min_connect"};
  return kFields;
}

template <>
Result<FlowFilter::Test> FlowFilter::make_test(const std::string& field, const std::string& value) {
  const auto refuse = [&](std::string_view expected) { return fail("{}={}: expected {}", field, value, expected); };
  const auto address = model::parse_address_port(value);
  if (field == "from") return [value, address](const Flow& f) { return is(from_of(f), value, address); };
  if (field == "to") {
    return [value, address](const Flow& f) {
      const bool service = f.service_address && is_at(address, *f.service_address, f.service_port);
      return service || is(to_of(f), value, address);
    };
  }
  if (field == "workload") {
    return [value](const Flow& f) { return is_called(f.workload, value) || is_called(f.peer, value); };
  }
  if (field == "namespace") {
    return [value](const Flow& f) { return glob(value, f.workload.ns) || glob(value, f.peer.ns); };
  }
  if (field == "address") {
    if (!address) return refuse("ADDRESS, ADDRESS:PORT or [IPV6]:PORT; names are not resolved");
    return [address](const Flow& f) {
      return is_at(address, f.local, f.local_port) || is_at(address, f.remote, f.remote_port);
    };
  }
  if (field == "service") {
    return [value, address](const Flow& f) {
      if (address) return f.service_address && is_at(address, *f.service_address, f.service_port);
      const auto slash = f.service.find('/');
      return !f.service.empty() && (glob(value, f.service) || glob(value, f.service.substr(slash + 1)));
    };
  }
  if (field == "port") {
    const auto port = number_of(value);
    if (!port || *port == 0 || *port > std::numeric_limits<std::uint16_t>::max()) return refuse("a port, 1 to 65535");
    return [port](const Flow& f) { return to_of(f).port == *port || (f.service_address && f.service_port == *port); };
  }
  if (field == "process") return [value](const Flow& f) { return glob(value, f.comm); };
  if (field == "pid") {
    const auto pid = number_of(value);
    if (!pid) return refuse("a process id");
    return [pid](const Flow& f) { return f.pid == *pid; };
  }
  if (field == "direction") {
    if (value != "out" && value != "in") return refuse("out or in");
    return [out = value == "out"](const Flow& f) { return opened(f) == out; };
  }
  if (field == "outcome") {
    const auto outcome = parse_flow_outcome(value);
    if (!outcome) {
      return refuse(
          "closed, reset, aborted, broken, refused, timed_out, unreachable, abandoned, open, connecting, denied or "
          "would_deny");
    }
    return [outcome](const Flow& f) { return f.outcome == *outcome; };
  }
  if (field == "failed") {
    if (value != "true" && value != "false") return refuse("true or false");
    return [want = value == "true"](const Flow& f) { return model::failed(f) == want; };
  }
  if (field == "protocol") {
    if (value != "tcp" && value != "udp") return refuse("tcp or udp");
    return [value](const Flow& f) { return transport_name(f.protocol) == value; };
  }
  if (field == "verdict") {
    if (value == "refused") return [](const Flow& f) { return f.policy && f.policy->refused; };
    const auto& names = policy_verdict_names();
    const bool pattern = value.find_first_of("*?[") != std::string::npos;
    if (!pattern && std::find(names.begin(), names.end(), value) == names.end()) {
      return refuse(fmt::format("refused (all that refuse), a pattern, or one of {}", fmt::join(names, ", ")));
    }
    return [value](const Flow& f) { return f.policy && glob(value, f.policy->verdict); };
  }
  if (field == "rule") {
    return [value](const Flow& f) {
      return f.policy && std::any_of(f.policy->rules.begin(), f.policy->rules.end(),
                                     [&](const std::string& rule) { return is_rule(value, rule); });
    };
  }
  if (field == "min_duration" || field == "min_connect") {
    const auto least = parse_duration(value);
    if (!least) return refuse("a duration such as 500us, 10ms or 2s");
    if (field == "min_duration") return [least](const Flow& f) { return f.duration >= *least; };
    return [least](const Flow& f) { return f.connect_latency && *f.connect_latency >= *least; };
  }
  return fail("unknown filter {}; expected one of {}", field, fmt::join(fields(), ", "));
}

}  // namespace cortexflow::control
