// SPDX-License-Identifier: Apache-2.0
#include "agent/services.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "agent/base/octets.h"
#include "agent/compile/adopt.h"
#include "agent/compile/shares.h"
#include "agent/model/address_port.h"
#include "agent/service_rows.h"
#include "agent/state/overrides.h"

namespace cortexflow {
namespace {

constexpr std::array kMaps{compile::Map::kFrontends,   compile::Map::kServices, compile::Map::kServiceLoads,
                           compile::Map::kSubsets,     compile::Map::kSlots,    compile::Map::kBackends,
                           compile::Map::kBackendLoads};

// Everything that the service's meaning depends on, from the snapshot, which has to outlive it; but the operator's
// part.
compile::ServiceInput input_of(const model::Service& service, const state::Snapshot& snapshot) {
  compile::ServiceInput input;
  input.service = &service;
  const auto parts = snapshot.parts.find(service.name);
  if (!parts) return input;
  if (!parts->policies.empty()) input.policy = parts->policies.front().get();
  for (const auto& slice : parts->slices) {
    input.slices.push_back(slice.get());
    for (const auto& endpoint : slice->endpoints) {
      if (endpoint.pod.name.empty()) continue;
      if (const auto pod = snapshot.pods.find(endpoint.pod)) input.pods[endpoint.pod] = pod.get();
    }
  }
  return input;
}

}  // namespace

Result<std::unique_ptr<Services>> Services::open(const source::Settings& settings, const std::string& cgroup_root) {
  auto state_directory = StateDirectory::open(settings.state_dir);
  if (!state_directory) return tl::make_unexpected(std::move(state_directory.error()));
  if (const auto problem = state_directory->problem(); !problem.empty()) spdlog::warn("services: {}", problem);
  auto sources = Sources::open(settings);
  if (!sources) return tl::make_unexpected(std::move(sources.error()));
  auto tables = kernel::ServiceTables::open({cgroup_root, settings.pin_path, settings.keep_services_on_exit});
  if (!tables) return tl::make_unexpected(std::move(tables.error()));
  if ((*tables)->adopted()) (*tables)->set_keep_on_exit(true);
  auto health = ServiceHealth::open(settings.health_checks_in_flight);
  if (!health) return tl::make_unexpected(std::move(health.error()));
  auto addresses = NodeAddresses::open();
  if (!addresses) return tl::make_unexpected(std::move(addresses.error()));
  const compile::NodeContext node{settings.node_name, settings.zone, addresses->distinct()};
  std::unique_ptr<Services> services(new Services(
      std::move(*state_directory), std::move(*sources), std::move(*tables), std::move(*health), std::move(*addresses),
      node, settings, cgroup_root, OverrideBook::open(settings.state_dir + "/overrides.json"),
      DenyBook::open(settings.state_dir + "/denylist.json"),
      DenyMemory(settings.state_dir + "/denylists-last-good.json"),
      PolicyBook::open(settings.state_dir + "/policies.yaml")));
  services->keep_on_exit_ = settings.keep_services_on_exit;
  if (!settings.kubeconfig.empty()) {
    auto pod_cgroups = flow::PodCgroups::open(cgroup_root);
    if (!pod_cgroups) return tl::make_unexpected(std::move(pod_cgroups.error()));
    services->pod_cgroups_ = std::move(*pod_cgroups);
    (void)services->pod_cgroups_->poll(Clock::now());  // what is there now is known before the first pod is
  }
  auto* pod_cgroups = services->pod_cgroups_ ? &*services->pod_cgroups_ : nullptr;
  services->callers_.set_place(
      {cgroup_root, settings.node_name, !settings.service_interfaces.empty(),
       [pod_cgroups](const std::string& uid) { return pod_cgroups ? pod_cgroups->id_of(uid) : std::nullopt; }});
  std::vector<Error> errors;
  if (!settings.health_check_listen.empty() || settings.proxy_health_listen) {
    services->health_ports_ = std::make_unique<ServiceHealthPorts>(settings);
  }
  services->open_edge(settings);
  services->take_over(errors);
  if (auto known = services->policies_.set_node_addresses(node.addresses); !known) {
    return tl::make_unexpected(std::move(known.error()));
  }
  if (auto opened = services->policies_.open(); !opened) return tl::make_unexpected(std::move(opened.error()));
  if (auto first = services->policy_book_.first(); !first.changes.empty() || first.refused > 0) {
    services->update({Sources::kOperator, std::move(first)}, errors);
  }
  for (const auto& first : services->sources_.poll(Clock::now())) services->update(first, errors);
  services->keep_deny();
  if (!errors.empty()) return tl::make_unexpected(std::move(errors.front()));
  if (auto attached = services->tables_->attach(); !attached) return tl::make_unexpected(std::move(attached.error()));
  if (auto connects = services->policies_.services_are_attached(); !connects) {
    return tl::make_unexpected(std::move(connects.error()));
  }
  if (!settings.service_interfaces.empty()) {
    const bool keep = settings.keep_services_on_exit || services->tables_->adopted();
    auto redirect = kernel::Redirect::open({settings.service_interfaces, settings.pin_path, keep}, *services->tables_);
    if (!redirect) return tl::make_unexpected(std::move(redirect.error()));
    services->redirect_ = std::move(*redirect);
  }
  services->say_unused();
  if (auto writes = services->start_override_writer(); !writes) return tl::make_unexpected(std::move(writes.error()));
  services->open_stale_sockets();
  if (services->edge_) services->edge_->start();
  if (auto serves = services->start_health_ports(); !serves) return tl::make_unexpected(std::move(serves.error()));
  malloc_trim(0);  // reading everything at once took more than keeping it: 10 MB with 100,000 endpoints
  return services;
}

void Services::end_as_configured() {
  tables_->set_keep_on_exit(keep_on_exit_);
  if (redirect_) redirect_->set_keep_on_exit(keep_on_exit_);
  if (edge_) edge_->end_as_configured();
  policies_.end_as_configured();
}

Services::Services(StateDirectory state_directory, Sources sources, std::unique_ptr<kernel::ServiceTables> tables,
                   ServiceHealth health, NodeAddresses addresses, compile::NodeContext node,
                   const source::Settings& settings, std::string cgroup_root, OverrideBook overrides,
                   DenyBook deny_book, DenyMemory deny_memory, PolicyBook policy_book)
    : state_directory_(std::move(state_directory)),
      sources_(std::move(sources)),
      tables_(std::move(tables)),
      health_(std::move(health)),
      addresses_(std::move(addresses)),
      deny_memory_(std::move(deny_memory)),
      cgroup_root_(std::move(cgroup_root)),
      policies_(settings, cgroup_root_),
      node_(std::move(node)),
      overrides_(std::move(overrides)),
      deny_book_(std::move(deny_book)),
      policy_book_(std::move(policy_book)) {}

void Services::take_over(std::vector<Error>& errors) {
  if (!tables_->adopted()) return;
  std::map<compile::Map, compile::MapContents> contents;
  for (const auto map : kMaps) contents[map] = tables_->read(compile::map_name(map));
  auto found = compile::adopt(contents);
  write(found.strays, errors);
  book_ = compile::ServiceBook(std::move(found.adopted));
  book_.hold([this](const auto& service) { return may_lack(service); });
  memory_.read(*tables_);
  callers_.clear(*tables_, errors);
}

std::vector<int> Services::fds() const {
  auto out = sources_.fds();
  out.push_back(health_.fd());
  if (pod_cgroups_) out.push_back(pod_cgroups_->fd());
  out.push_back(addresses_.fd());
  return out;
}

void Services::note_pod_cgroups(std::vector<Error>& errors) {
  if (!pod_cgroups_) return;
  for (const auto& uid : pod_cgroups_->poll(Clock::now())) {
    const auto* pod = pods_.find(uid);
    if (pod) callers_.update(*pod, desired_.snapshot()->pods.find(*pod).get(), *tables_, errors);
  }
}

std::vector<Error> Services::poll() {
  std::vector<Error> errors;
  const auto said = [this] {
    const std::lock_guard lock(sources_mutex_);
    return sources_.poll(Clock::now());
  }();
  for (const auto& changes : said) update(changes, errors);
  keep_deny();
  poll_edge(errors);
  poll_addresses(errors);
  const std::lock_guard lock(mutex_);
  note_pod_cgroups(errors);
  auto changed = health_.take_changed();
  std::erase_if(changed, [&](const auto& service) {
    return !avoid(service, compile::AvoidedBy::kCheck, health_.reasons(service));
  });
  if (!changed.empty()) plan(changed, errors);
  return errors;
}

void Services::update(const Sources::Update& changes, std::vector<Error>& errors) {
  const auto begun = Clock::now();
  const std::lock_guard lock(mutex_);
  const auto update = desired_.apply(changes.source, changes.update);
  if (changes.source != Sources::kOperator) sources_unread_ = changes.update.unread;
  auto unread = policy_book_.unread();
  unread.add(sources_unread_);
  const auto& snapshot = *update.snapshot;
  for (const auto& pod : update.touched.pods) {
    const auto known = snapshot.pods.find(pod);
    pods_.update(pod, known.get());
    callers_.update(pod, known.get(), *tables_, errors);
  }
  note_addresses(update);
  auto touched = update.touched.services;
  note_unread(unread, touched);
  for (const auto& name : touched) {
    drop_gone_override(name, snapshot);
    avoid_drained(name);
  }
  for (const auto& name : touched) {
    const auto service = snapshot.services.find(name);
    const auto input = service ? input_of(*service, snapshot) : compile::ServiceInput{};
    ejections_.set_policy(name, input.policy ? input.policy->outlier_detection : std::nullopt);
    for (const auto& [port, memories] : service ? memory_.take_ejected(*service) : AvoidedMemory::Ejected{}) {
      ejections_.adopt(port, memories);
    }
    avoid(name, compile::AvoidedBy::kEjection, ejections_.ejected(name));
  }
  plan(touched, errors);
  settle(errors);
  settle_deny(update.touched.deny_lists);
  configuration_changed_ = true;
  if (auto done = policies_.update(update, unread); !done) errors.push_back(std::move(done.error()));
  if (snapshot.generation != applied_.generation) {
    applied_ = {snapshot.generation, std::chrono::system_clock::now(), Clock::now() - begun};
  }
}

std::vector<Error> Services::judge_backends() {
  std::vector<Error> errors;
  poll_health_ports(errors);
  const std::lock_guard lock(mutex_);
  writes_.retry(*tables_);
  for (const auto& pod : callers_.due(std::chrono::steady_clock::now())) {
    callers_.update(pod, desired_.snapshot()->pods.find(pod).get(), *tables_, errors);
  }
  if (auto done = policies_.tick(std::chrono::steady_clock::now()); !done) errors.push_back(std::move(done.error()));
  const auto [changed, to_keep] = ejections_.look(std::chrono::steady_clock::now(), book_, *tables_);
  for (const auto& name : changed) {
    const auto ejected = ejections_.ejected(name);
    const auto known = avoided_.find(name);
    for (const auto& [backend, reason] : ejected) {
      if (known != avoided_.end()) {
        const auto had = known->second.find(backend);
        if (had != known->second.end() && had->second.contains(compile::AvoidedBy::kEjection)) continue;
      }
      spdlog::info("service {}/{}: {} is ejected: {}", name.ns, name.name,
                   model::address_port_text(backend.address, backend.port), reason);
    }
    avoid(name, compile::AvoidedBy::kEjection, ejected);
  }
  if (!changed.empty()) plan(changed, errors);
  for (const auto& name : to_keep) keep_avoided(name, errors);
  say_unused();
  totals_.sweep(*tables_);
  return errors;
}

void Services::keep_avoided(const model::ObjectName& service, std::vector<Error>& errors) {
  auto kept = memory_.keep(service, ejections_.memories(service), health_.unhealthy(service), *tables_);
  if (kept) return;
  errors.push_back(std::move(kept.error()).wrap("what is known against backends would not outlast the agent"));
}

void Services::plan(const std::set<model::ObjectName>& services, std::vector<Error>& errors) {
  const auto& snapshot = *desired_.snapshot();
  std::map<model::ObjectName, std::vector<compile::ServicePlan>> plans;
  Edge::Plans edge_plans;
  ServiceHealthPorts::Plans health_ports;
  for (const auto& name : services) {
    plan_refusals_.erase(name);
    auto& planned = plans[name];
    auto& outside = edge_plans[name];
    auto& health_port = health_ports[name];
    const auto service = snapshot.services.find(name);
    if (!service) {
      health_.set(name, {}, {});
      avoid(name, compile::AvoidedBy::kCheck, {});
      keep_avoided(name, errors);
      continue;
    }
    auto input = input_of(*service, snapshot);
    input.set = overrides_.find(name);
    const auto check = input.policy ? input.policy->health_check : std::nullopt;
    health_.set(name, check, check ? compile::ready_backends(input, node_) : std::vector<compile::BackendPort>{},
                memory_.take_unhealthy(name));
    avoid(name, compile::AvoidedBy::kCheck, health_.reasons(name));
    keep_avoided(name, errors);
    if (const auto avoided = avoided_.find(name); avoided != avoided_.end()) input.avoided = &avoided->second;
    input.probation = ejections_.probation(name);
    auto result = compile::plan_service(input, node_);
    planned = std::move(result.plans);
    if (edge_) outside = compile::plan_edge(input, node_, edge_->plan_options());
    health_port = compile::plan_health_port(input, node_);
    if (!result.refusals.empty()) plan_refusals_[name] = std::move(result.refusals);
  }
  const auto placed = ConnectionTotals::placed(book_, services);
  const auto members_before = udp_members_of(plans);
  const auto operations = book_.update(plans);
  totals_.retire(placed, ConnectionTotals::placed(book_, services), book_, *tables_);
  write(operations, errors);
  for (const auto& name : services) {
    if (snapshot.services.find(name)) continue;
    totals_.forget(name, *tables_);
    ejections_.forget(name);
  }
  const auto members = udp_members_of(plans);
  if (stale_sockets_ && !std::includes(members.begin(), members.end(), members_before.begin(), members_before.end())) {
    stale_sockets_->request();
  }
  if (edge_) edge_->update(edge_plans);
  if (health_ports_ && health_ports_->serves_services()) health_ports_->update(health_ports);
}

std::vector<sink::ServiceFigures> Services::figures() const {
  const std::lock_guard lock(mutex_);
  std::vector<sink::ServiceFigures> out;
  for (auto& [name, service] : totals_.read(book_, *tables_)) {
    const auto ejection = ejections_.figures(name);
    service.ejections = ejection.ejections;
    service.spared = ejection.spared;
    service.ejected = ejections_.ejected(name).size();
    out.push_back(std::move(service));
  }
  return out;
}

bool Services::avoid(const model::ObjectName& service, compile::AvoidedBy by,
                     const std::map<compile::BackendPort, std::string>& reasons) {
  const auto found = avoided_.find(service);
  compile::AvoidedBackends after = found == avoided_.end() ? compile::AvoidedBackends{} : found->second;
  for (auto& [backend, parties] : after) parties.erase(by);
  for (const auto& [backend, reason] : reasons) after[backend][by] = reason;
  std::erase_if(after, [](const auto& entry) { return entry.second.empty(); });
  if (found == avoided_.end() ? after.empty() : after == found->second) return false;
  if (after.empty()) {
    avoided_.erase(found);
  } else {
    avoided_[service] = std::move(after);
  }
  return true;
}

void Services::write(const std::vector<compile::Operation>& operations, std::vector<Error>& errors) {
  for (const auto& operation : operations) {
    if (operation.erase && operation.map == compile::Map::kBackendLoads) {
      const auto backend = value_of<std::uint32_t>(operation.key);
      if (backend && totals_.lingers(*backend)) continue;
    }
    const auto* map = compile::map_name(operation.map);
    auto value = operation.erase ? std::nullopt : std::optional(operation.value);
    auto done = writes_.write(*tables_, map, operation.key, std::move(value));
    if (!done) errors.push_back(std::move(done.error()));
  }
}

std::vector<control::ServiceRow> Services::rows() const {
  const std::lock_guard lock(mutex_);
  const auto snapshot = desired_.snapshot();
  std::vector<control::ServiceRow> out;
  for (const auto& [key, entry] : book_.entries()) {
    const auto service = snapshot->services.find(key.service);
    auto input = service ? input_of(*service, *snapshot) : compile::ServiceInput{};
    input.set = overrides_.find(key.service);
    out.push_back(service_row(key, entry, book_, input, *tables_, health_));
    if (const auto found = plan_refusals_.find(key.service); found != plan_refusals_.end()) {
      auto& problems = out.back().problems;
      problems.insert(problems.end(), found->second.begin(), found->second.end());
    }
    if (edge_) {
      for (auto& problem : edge_->problems(key.service)) out.back().problems.push_back(std::move(problem));
    }
    if (health_ports_) {
      for (auto& problem : health_ports_->problems(key.service)) out.back().problems.push_back(std::move(problem));
    }
  }
  add_held_rows(out);
  return out;
}

std::vector<Services::Use> Services::usage() const {
  const std::lock_guard lock(mutex_);
  const auto& used = book_.usage();
  const auto& limit = compile::kLimits;
  using compile::Map;
  return {{map_name(Map::kFrontends), used.frontends, limit.frontends},
          {map_name(Map::kServices), used.services, limit.services},
          {map_name(Map::kSubsets), used.subsets, limit.subsets},
          {map_name(Map::kSlots), used.slots, limit.slots},
          {map_name(Map::kBackends), used.backends, limit.backends},
          {map_name(Map::kBackendLoads), used.backends + totals_.lingering(), limit.backends}};
}

Services::Backends Services::backends() const {
  const std::lock_guard lock(mutex_);
  Backends out;
  for (const auto& [key, entry] : book_.entries()) {
    if (entry.plan.panic) ++out.panics;
    for (const auto& [backend, number] : entry.image.backends) {
      if (!entry.plan.avoided.contains(backend) && !entry.plan.resting.contains(backend)) ++out.available;
    }
    for (const auto& [backend, reasons] : entry.plan.avoided) {
      const bool drained = reasons.contains(compile::AvoidedBy::kDrain);
      const bool ejected = reasons.contains(compile::AvoidedBy::kEjection);
      ++(drained ? out.drained : ejected ? out.ejected : out.unhealthy);
    }
  }
  return out;
}

std::vector<std::string> Services::refusals() const {
  const std::lock_guard lock(mutex_);
  auto out = unused_words();
  out.insert(out.end(), dropped_.begin(), dropped_.end());
  return out;
}

}  // namespace cortexflow
