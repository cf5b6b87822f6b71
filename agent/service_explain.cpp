// SPDX-License-Identifier: Apache-2.0
#include "agent/service_explain.h"

#include <time.h>

#include <algorithm>
#include <charconv>

#include "agent/base/octets.h"
#include "agent/caller_way.h"
#include "agent/compile/differences.h"
#include "agent/compile/shares.h"
#include "agent/compile/simulate.h"
#include "agent/model/address_port.h"
#include "agent/service_rows.h"

namespace cortexflow {
namespace {

using compile::Lookup;
using compile::Verdict;
using control::ExplainedPath;

std::uint64_t monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

compile::Find finder(const kernel::ServiceTables& tables) {
  return [&tables](std::string_view map, const std::string& key) { return tables.find(map, key); };
}

const char* verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDirect:
      return "direct";
    case Verdict::kNoBackend:
      return "refused: no backend";
    case Verdict::kBreaker:
      return "refused: breaker";
    case Verdict::kPending:
      return "refused: pending";
    case Verdict::kBroken:
      return "refused: broken tables";
    case Verdict::kUnreachable:
      return "refused: unreachable";
    case Verdict::kTranslated:
      return "translated";
  }
  return "";
}

const compile::Entry* entry_of(const compile::ServiceBook& book, const compile::Frontend& frontend,
                               compile::PortKey& key_found) {
  for (const auto& [key, entry] : book.entries()) {
    const auto& own = entry.image.frontends;
    if (entry.placed && std::find(own.begin(), own.end(), frontend) != own.end()) {
      key_found = key;
      return &entry;
    }
  }
  return nullptr;
}

std::string backend_address(const cf_backend& backend) {
  model::IpAddress address;
  std::copy(std::begin(backend.address), std::end(backend.address), address.octets.begin());
  return model::address_port_text(address, backend.port);
}

std::string pod_at(const state::Snapshot& snapshot, const model::ObjectName& service, const cf_backend& backend) {
  const auto parts = snapshot.parts.find(service);
  if (!parts) return {};
  for (const auto& slice : parts->slices) {
    for (const auto& endpoint : slice->endpoints) {
      const auto& octets = endpoint.address.octets;
      if (std::equal(octets.begin(), octets.end(), backend.address)) return endpoint.pod.name;
    }
  }
  return {};
}

// The label whose hash the kernel has.
std::string version_text(const state::Snapshot& snapshot, const FoundCaller& caller, std::uint64_t version) {
  if (version == 0) return {};
  const auto named = [&](const model::Pod& pod) {
    const auto label = pod.labels.find("version");
    return label != pod.labels.end() && compile::fnv1a(label->second) == version ? label->second : std::string();
  };
  std::string found = caller.pod ? named(*caller.pod) : "";
  if (found.empty()) {
    snapshot.pods.for_each([&](const auto& pod) {
      if (found.empty()) found = named(*pod);
    });
  }
  return found.empty() ? fmt::format("hash {:#x}", version) : found;
}

constexpr std::size_t kLeftOutSaid = 8;

std::string state_text(const compile::LookupBackend& backend, bool connects) {
  if (!backend.usable) return "missing";
  if (backend.unreachable) return "unreachable";
  if (!connects || !backend.on_probation()) return "ready";
  return backend.active == 0 ? "probation" : "probation, taken";
}

class PathWriter {
 public:
  PathWriter(const ExplainContext& context, compile::Caller caller, std::string version)
      : context_(context), caller_(caller), version_(std::move(version)) {}

  ExplainedPath path(const compile::Frontend& frontend, CallerWay::By by) const {
    ExplainedPath out;
    out.address = model::address_port_text(frontend.address, frontend.port);
    out.protocol = frontend.protocol == model::Protocol::kUdp ? "UDP" : "TCP";
    const auto found = compile::look_up(finder(context_.tables), compile::to_abi(frontend), caller_, monotonic_now());
    compile::PortKey key;
    const auto* entry = entry_of(context_.book, frontend, key);
    out.verdict = by == CallerWay::By::kNobody ? "not seen" : verdict_text(found.verdict);
    const auto service = entry ? fmt::format("{}/{} {}", key.service.ns, key.service.name, entry->plan.port_name) : "";
    if (found.number == 0) {
      say(out, "service", "no service has this address and port: the call goes there directly", "svc_frontends");
    } else {
      say(out, "service", fmt::format("service {} {}", found.number, service), "svc_frontends");
      table_steps(out, found);
      left_out(out, entry);
      backends(out, found, key.service);
    }
    out.differences = compile::differences(found, entry, caller_.version);
    return out;
  }

 private:
  static void say(ExplainedPath& out, const char* what, std::string words, const char* table) {
    out.steps.push_back({what, std::move(words), table});
  }

  void table_steps(ExplainedPath& out, const Lookup& found) const {
    const auto& service = found.service;
    say(out, "algorithm",
        service.algorithm == CF_SVC_LEAST_LATENCY
            ? fmt::format("{}: of two slots drawn by lot the one whose backend costs less, which is its connect "
                          "latency times its live connections plus one",
                          algorithm_name(service.algorithm))
            : algorithm_name(service.algorithm),
        "svc_services");
    if (!(service.flags & CF_SVC_BY_VERSION)) {
      say(out, "subset", "callers of all versions have the same backends", "svc_services");
    } else if (found.by_version) {
      say(out, "subset", fmt::format("callers of version {} have backends of their own", version_), "svc_subsets");
    } else {
      say(out, "subset",
          version_.empty() ? "the caller's version is not known: backends of all versions, by weight"
                           : fmt::format("no backends of version {} alone: backends of all, by weight", version_),
          "svc_subsets");
    }
    breaker(out, found);
    if (caller_.by_packet && found.connects) {
      say(out, "packet",
          "how this caller's connections go is not measured: it counts for no backend's latency or ejection, and no "
          "limit of pending ones is theirs",
          "");
    }
    if (service.affinity_s != 0) {
      say(out, "affinity",
          found.kept != 0
              ? fmt::format("this client keeps {}", backend_address(found.backends.at(found.kept).backend))
              : std::string(caller_.client == 0 ? "the client is not known" : "this client has no backend yet"),
          "svc_affinity");
    }
    say(out, "table",
        fmt::format("table {} with {} slots for {} backends", found.table, found.slots.size(), found.backends.size()),
        "svc_slots");
    if (out.verdict == verdict_text(Verdict::kTranslated)) next(out, found);
  }

  void breaker(ExplainedPath& out, const Lookup& found) const {
    const auto& service = found.service;
    const bool connections = found.connects && service.max_connections != 0;
    if (connections) {
      say(out, "breaker", fmt::format("{} of {} connections are live", found.load.active, service.max_connections),
          "svc_load");
    }
    if (found.limits_pending) {
      say(out, "breaker",
          fmt::format("{} of {} connections are not established yet", found.load.pending, service.max_pending),
          "svc_load");
    } else if (service.max_pending != 0 && !caller_.by_packet) {
      say(out, "breaker", "the limit of pending connections does nothing: nobody follows them", "svc_watched");
    }
    if (!connections && !found.limits_pending) return;
    say(out, "breaker",
        caller_.by_packet                     ? "one more is answered with a reset"
        : service.flags & CF_SVC_REFUSE_EPERM ? "one more is refused with EPERM"
                                              : "one more is refused with ECONNREFUSED (before Linux 5.18: EPERM)",
        "svc_services");
  }

  // Backends that are in no table though their endpoints are ready.
  static void left_out(ExplainedPath& out, const compile::Entry* entry) {
    if (!entry) return;
    std::size_t said = 0;
    for (const auto& [backend, reasons] : entry->plan.avoided) {
      const bool used = entry->plan.panic && !reasons.contains(compile::AvoidedBy::kDrain);
      if (++said > kLeftOutSaid) continue;
      const auto& [by, why] = *reasons.begin();
      say(out, "left out",
          fmt::format("{} is {}{}{}{}", model::address_port_text(backend.address, backend.port),
                      compile::avoided_name(by), why.empty() ? "" : ": ", why,
                      used ? "; used all the same, as too few others are well" : ""),
          "");
    }
    if (said > kLeftOutSaid) say(out, "left out", fmt::format("and {} more", said - kLeftOutSaid), "");
  }

  // Where it is not by lot, and the caller is known as far as it matters.
  void next(ExplainedPath& out, const Lookup& found) const {
    const auto algorithm = found.service.algorithm;
    if (found.kept == 0 && (algorithm == CF_SVC_RANDOM || (algorithm == CF_SVC_HASH && caller_.hash == 0))) return;
    const auto one = compile::simulate(found, caller_, true, 1);
    if (one.callers.size() != 1) return;
    out.next = backend_address(found.backends.at(one.callers.begin()->first).backend);
    say(out, "choice", fmt::format("the next call gets {}", out.next), found.kept != 0 ? "svc_affinity" : "svc_load");
  }

  void backends(ExplainedPath& out, const Lookup& found, const model::ObjectName& service) const {
    const auto algorithm = found.service.algorithm;
    const bool kept = found.kept != 0 || (algorithm == CF_SVC_HASH && caller_.hash != 0);
    const bool in_turn = algorithm == CF_SVC_ROUND_ROBIN && !kept;
    const std::uint64_t calls = in_turn ? std::max<std::uint64_t>(found.slots.size(), 1) : 1;
    const auto each = compile::simulate(found, caller_, kept, calls).callers;
    const bool known = kept || in_turn || algorithm == CF_SVC_RANDOM || algorithm == CF_SVC_LEAST_LATENCY;
    std::map<std::uint32_t, std::size_t> times;
    for (const auto number : found.slots) ++times[number];
    for (const auto& [number, item] : found.backends) {
      control::ExplainedBackend backend;
      backend.address = backend_address(item.backend);
      backend.pod = pod_at(context_.snapshot, service, item.backend);
      const auto chance = each.find(number);
      backend.share = known ? (chance == each.end() ? 0 : chance->second / static_cast<double>(calls))
                            : static_cast<double>(times[number]) / static_cast<double>(found.slots.size());
      backend.active = item.active;
      backend.connect_recent_s = static_cast<double>(item.latency_us) / 1e6;
      backend.state = state_text(item, found.connects);
      out.backends.push_back(std::move(backend));
    }
  }

  const ExplainContext& context_;
  compile::Caller caller_;
  std::string version_;
};

struct Target {
  std::vector<compile::Frontend> frontends;
  std::string says;  // where there are none, or more to say
};

std::string port_list(const model::Service& service) {
  std::vector<std::string> ports;
  ports.reserve(service.ports.size());
  for (const auto& port : service.ports) {
    ports.push_back(port.name.empty() ? fmt::format("{}", port.port) : fmt::format("{} ({})", port.port, port.name));
    if (port.protocol == model::Protocol::kSctp) ports.back() += " of SCTP";
  }
  return fmt::format("{}", fmt::join(ports, ", "));
}

Result<Target> find_target(const ExplainContext& context, const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) {
    return fail("{}: expected NAMESPACE/NAME:PORT or ADDRESS:PORT", text);
  }
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool numeric = error == std::errc{} && end == port.data() + port.size();
  if (error == std::errc::result_out_of_range) return fail("port {}: expected 1 to 65535, or a port's name", port);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Target target;
  if (const auto address = model::IpAddress::parse(host)) {
    if (!numeric) return fail("port {}: expected a number", port);
    for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
      const compile::Frontend frontend{*address, number, protocol};
      compile::PortKey ignored;
      const auto key = compile::to_abi(frontend);
      const bool known =
          context.tables.find("svc_frontends", octets_of(key)) || entry_of(context.book, frontend, ignored);
      if (known || protocol == model::Protocol::kTcp) target.frontends.push_back(frontend);
    }
    return target;
  }
  const auto slash = host.find('/');
  if (slash == std::string::npos) return fail("{}: expected NAMESPACE/NAME:PORT or ADDRESS:PORT", text);
  const model::ObjectName name{host.substr(0, slash), host.substr(slash + 1)};
  const auto service = context.snapshot.services.find(name);
  if (!service) {
    return tl::make_unexpected(
        Error{fmt::format("there is no service {}: nothing of it is translated", host), "see cfcli service list"});
  }
  for (const auto& [key, entry] : context.book.entries()) {
    if (key.service != name) continue;
    for (std::size_t i = 0; i < entry.plan.frontends.size(); ++i) {
      const auto frontend = compile::frontend_of(entry.plan, i);
      if (numeric ? frontend.port == number : entry.plan.port_name == port) target.frontends.push_back(frontend);
    }
  }
  if (!target.frontends.empty()) return target;
  const auto is_asked = [&](const auto& p) { return numeric ? p.port == number : p.name == port; };
  if (std::none_of(service->ports.begin(), service->ports.end(), is_asked)) {
    return tl::make_unexpected(
        Error{fmt::format("{} has no port {}", host, port),
              service->ports.empty() ? "see cfcli service list" : fmt::format("it has {}", port_list(*service))});
  }
  target.says = service->cluster_ips.empty() && service->external_ips.empty() && service->load_balancer_ips.empty()
                    ? fmt::format(
                          "{} has no address of its own (headless or ExternalName): its name leads to the "
                          "backends directly, nothing is translated",
                          host)
                    : fmt::format("port {} of {} is SCTP, which is passed through as it is", port, host);
  return target;
}

// What the kernel takes the caller for.  By its packets: only where it has an address of that family.
std::optional<compile::Caller> as_known(const ExplainContext& context, const FoundCaller& caller, CallerWay::By by,
                                        bool v4) {
  if (by != CallerWay::By::kPackets) return known_caller(caller, finder(context.tables));
  for (const auto& address : caller.addresses) {
    if (address.is_v4() == v4) return compile::know_caller(finder(context.tables), address);
  }
  return std::nullopt;
}

}  // namespace

Result<control::Explanation> explain(const ExplainContext& context, const FoundCaller& caller,
                                     const std::string& target_text) {
  auto target = find_target(context, target_text);
  if (!target) return tl::make_unexpected(std::move(target.error()));
  control::Explanation out;
  out.caller = caller.name;
  out.target = target_text;
  for (const auto& note : caller.notes) out.steps.push_back({"caller", note, ""});
  auto way = way_of(caller, context.tables, context.redirect, context.cgroup_root);
  for (auto& step : way.steps) out.steps.push_back(std::move(step));
  const bool first_v4 = caller.addresses.empty() || caller.addresses.front().is_v4();
  const auto known = as_known(context, caller, way.by, first_v4).value_or(compile::Caller{});
  out.version = version_text(context.snapshot, caller, known.version);
  out.steps.push_back({"version",
                       !known.labelled      ? "the kernel knows no version of it"
                       : known.version == 0 ? "the kernel knows it, without a version"
                                            : fmt::format("the kernel knows it as version {}", out.version),
                       "svc_callers"});
  if (caller.pod) {
    const auto label = caller.pod->labels.find("version");
    const auto wanted = label == caller.pod->labels.end() ? 0 : compile::fnv1a(label->second);
    if (wanted != known.version) {
      out.steps.push_back(
          {"difference",
           fmt::format("its manifest says version {}, the kernel {}", wanted == 0 ? "none" : label->second,
                       out.version.empty() ? "none" : out.version),
           "svc_callers"});
    }
  }
  if (!target->says.empty()) out.steps.push_back({"service", target->says, ""});
  for (const auto& frontend : target->frontends) {
    const auto as = as_known(context, caller, way.by, frontend.address.is_v4());
    const PathWriter writer(context, as.value_or(known), out.version);
    out.paths.push_back(writer.path(frontend, as ? way.by : CallerWay::By::kNobody));
    if (!as) out.paths.back().steps.push_back({"packet", "no address of this family is known of the caller", ""});
  }
  return out;
}

std::vector<control::SimulatedPort> simulate_service(const ExplainContext& context, const model::ObjectName& service,
                                                     const FoundCaller* from, const std::string& version,
                                                     std::uint64_t callers) {
  const auto find = finder(context.tables);
  const auto by =
      from ? way_of(*from, context.tables, context.redirect, context.cgroup_root).by : CallerWay::By::kSockets;
  std::vector<control::SimulatedPort> out;
  for (const auto& [key, entry] : context.book.entries()) {
    if (key.service != service) continue;
    for (const auto& frontend : entry.image.frontends) {
      const auto known = from ? as_known(context, *from, by, frontend.address.is_v4()) : compile::Caller{};
      if (!known) continue;  // it has no address of that family
      auto caller = *known;
      if (!version.empty()) caller.version = compile::fnv1a(version);
      const auto found = compile::look_up(find, compile::to_abi(frontend), caller, monotonic_now());
      const auto result = compile::simulate(found, caller, from != nullptr, callers);
      control::SimulatedPort port;
      port.address = model::address_port_text(frontend.address, frontend.port);
      port.protocol = frontend.protocol == model::Protocol::kUdp ? "UDP" : "TCP";
      port.port_name = entry.plan.port_name;
      port.algorithm = algorithm_name(found.service.algorithm);
      if (by == CallerWay::By::kNobody) {
        port.verdict = "not seen";
        port.exact = true;
        out.push_back(std::move(port));
        continue;
      }
      port.verdict = verdict_text(found.verdict);
      port.exact = result.exact;
      port.assumes = result.assumes;
      port.refused = result.refused;
      port.breaker_refuses = result.breaker_refuses;
      port.pending_refuses = result.pending_refuses;
      for (const auto& [number, times] : result.callers) {
        const auto& backend = found.backends.at(number).backend;
        port.backends.push_back({backend_address(backend), pod_at(context.snapshot, service, backend), times});
      }
      out.push_back(std::move(port));
    }
  }
  return out;
}

}  // namespace cortexflow
