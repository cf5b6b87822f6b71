// SPDX-License-Identifier: Apache-2.0
#include "agent/edge.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "agent/base/clock.h"
#include "agent/base/octets.h"

namespace cortexflow {
namespace {

using std::chrono::nanoseconds;
using std::chrono::system_clock;

constexpr std::chrono::seconds kCheckEvery{1};
// Flows that are silent for longer than this while their slot moves may go to its new backend.
constexpr std::chrono::minutes kMoveTime{15};
constexpr std::chrono::minutes kClearEvery{5};
constexpr std::uint16_t kMtu = 1500;  // where the kernel doesn't say

// Where the edge sends from in that family: what was set, or else what it was as long as an interface of its has that,
// or else the interfaces' first.
std::optional<model::IpAddress> source_address(const source::EdgeSettings& settings,
                                               const std::vector<std::string>& interfaces,
                                               const std::vector<InterfaceAddress>& all, bool v4,
                                               const model::IpAddress& before) {
  for (const auto& one : settings.addresses) {
    if (one.is_v4() == v4) return one;
  }
  std::optional<model::IpAddress> first;
  for (const auto& name : interfaces) {
    for (const auto& one : all) {
      if (one.interface != name || one.address.is_v4() != v4) continue;
      if (one.address == before) return before;
      if (!first) first = one.address;
    }
  }
  return first;
}

// The node's own connections must not have the ports that translated ones come back to.
std::string port_overlap(const source::EdgeSettings& settings) {
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  int first = 0, last = 0;
  if (!(file >> first >> last) || last < settings.nat_port_min || first > settings.nat_port_max) return {};
  return fmt::format("edge.nat_ports {}-{} overlap with net.ipv4.ip_local_port_range {}-{}: set one of them apart",
                     settings.nat_port_min, settings.nat_port_max, first, last);
}

}  // namespace

Result<std::unique_ptr<Edge>> Edge::open(const source::EdgeSettings& settings,
                                         const std::vector<InterfaceAddress>& addresses, const std::string& pin_path) {
  kernel::EdgeTablesOptions options{pin_path, settings.keep_on_exit};
  options.translations = options.pins = 2 * settings.flows;
  options.opening = std::max<std::uint32_t>(1024, settings.flows);  // closed flows are there too
  options.candidates = std::max<std::uint32_t>(1024, settings.flows / 2);
  auto tables = kernel::EdgeTables::open(options);
  if (!tables) return tl::make_unexpected(std::move(tables.error()));
  if ((*tables)->adopted()) (*tables)->set_keep_on_exit(true);
  std::unique_ptr<Edge> edge(new Edge(settings, std::move(*tables)));
  edge->take_over();
  edge->addresses_ = addresses;
  edge->choose_addresses();
  return edge;
}

Edge::Edge(source::EdgeSettings settings, std::unique_ptr<kernel::EdgeTables> tables)
    : settings_(std::move(settings)), tables_(std::move(tables)), interfaces_(settings_) {
  written_.nat_port_min = settings_.nat_port_min;
  written_.nat_port_max = settings_.nat_port_max;
  written_.gue_port = settings_.gue_port;
  written_.mtu = kMtu;
  port_remark_ = port_overlap(settings_);
}

void Edge::take_over() {
  if (!tables_->adopted()) return;
  std::map<compile::EdgeMap, kernel::EdgeTables::Entries> contents;
  for (const auto map : {compile::EdgeMap::kFrontends, compile::EdgeMap::kTables, compile::EdgeMap::kBackends,
                         compile::EdgeMap::kRanges}) {
    contents[map] = tables_->read(compile::map_name(map));
  }
  book_ = compile::EdgeBook(compile::adopt_edge(contents));
  for (auto& [key, value] : tables_->read("edge_deny")) denied_.emplace(std::move(key), std::move(value));
  for (const auto& [key, value] : tables_->read("edge_settings")) {
    const auto found = value_of<cf_edge_settings>(value);
    if (!found) continue;  // standing flows come back to these
    std::memcpy(written_.address4, found->address4, sizeof written_.address4);
    std::memcpy(written_.address6, found->address6, sizeof written_.address6);
  }
}

void Edge::choose_addresses() {
  lacks_v4_ = lacks_v6_ = false;
  for (const bool v4 : {true, false}) {
    auto* to = v4 ? written_.address4 : written_.address6;
    model::IpAddress before;
    std::copy_n(to, before.octets.size(), before.octets.begin());
    const auto now = source_address(settings_, interfaces_.names(), addresses_, v4, before);
    (v4 ? lacks_v4_ : lacks_v6_) = !now;
    const auto octets = now.value_or(model::IpAddress{}).octets;
    if (std::equal(octets.begin(), octets.end(), to)) continue;
    std::copy(octets.begin(), octets.end(), to);
    settings_written_ = false;
  }
}

void Edge::set_addresses(const std::vector<InterfaceAddress>& all) {
  const std::lock_guard lock(mutex_);
  addresses_ = all;
  choose_addresses();
  write_settings();
}

void Edge::start() {
  const std::lock_guard lock(mutex_);
  write_deny();
  write_settings();
  started_ = true;
  poll_neighbours(Clock::now());
  check_interfaces();
}

compile::EdgePlanOptions Edge::plan_options() const {
  return {settings_.forwarding == "ipip" ? CF_EDGE_IPIP : settings_.forwarding == "gue" ? CF_EDGE_GUE : CF_EDGE_NAT};
}

void Edge::update(const Plans& changed) {
  const std::lock_guard lock(mutex_);
  write(book_.update(changed));
  write_settings();
  for (const auto& [name, plans] : changed) {
    note_move(name);
    for (const auto& plan : plans) {
      for (const auto& one : plan.backends) neighbours_.add(one.backend.address);
    }
  }
}

void Edge::hold(compile::ServiceBook::Incomplete incomplete) {
  const std::lock_guard lock(mutex_);
  book_.hold(std::move(incomplete));
}

std::set<model::ObjectName> Edge::held() const {
  const std::lock_guard lock(mutex_);
  return book_.held();
}

std::size_t Edge::unclaimed() const {
  const std::lock_guard lock(mutex_);
  return book_.unclaimed();
}

void Edge::drop_unclaimed(const std::set<std::uint16_t>& stay) {
  const std::lock_guard lock(mutex_);
  write(book_.drop_unclaimed(stay));
  write_settings();
}

// A later move begins the time anew.
void Edge::note_move(const model::ObjectName& service) {
  moving_.erase(service);
  for (auto at = book_.entries().lower_bound(compile::first_port(service));
       at != book_.entries().end() && at->first.service == service; ++at) {
    const auto states = compile::states_of(at->second.slots);
    if (states.moved > 0) moving_.try_emplace(service, Clock::now());
    if (states.pinned > 0) settled_.insert(service);
  }
}

void Edge::deny(std::vector<model::DenyEntry> entries) {
  const std::lock_guard lock(mutex_);
  deny_ = std::move(entries);
  if (started_) write_deny();
}

void Edge::tick() {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  neighbours_.poll();
  if (now < next_check_) return;
  next_check_ = now + kCheckEvery;
  writes_.retry(*tables_);
  poll_neighbours(now);
  // Or the system's clock has been set.
  if (system_clock::now() >= next_expiry_ || std::chrono::abs(clock_offset() - clock_offset_) > kCheckEvery) {
    write_deny();
  }
  check_interfaces();
  finish_moves();
}

std::vector<Error> Edge::take_errors() {
  const std::lock_guard lock(mutex_);
  auto out = interfaces_.take_errors();
  for (auto& error : std::exchange(errors_, {})) out.push_back(std::move(error));
  return out;
}

// Of a family that nothing is served in, what is missing is no matter.
std::pair<bool, bool> Edge::families() const {
  std::pair served{false, false};
  for (const auto& [key, entry] : book_.entries()) {
    if (served.first && served.second) break;
    if (!entry.frontends.empty()) (entry.frontends.front().address.is_v4() ? served.first : served.second) = true;
  }
  return served;
}

void Edge::check_interfaces() {
  if (interfaces_.find()) {
    choose_addresses();
    write_settings();
  }
  const auto [v4, v6] = families();
  interfaces_.check(*tables_, v4, v6);
}

void Edge::poll_neighbours(Clock::time_point now) {
  const auto missed = tables_->counters()[CF_EDGE_V_NO_NEIGHBOUR];
  if (missed != std::exchange(missed_, missed)) {
    std::vector<model::IpAddress> addresses;
    for (const auto& octets : tables_->unreached()) addresses.push_back({octets});
    neighbours_.ask(addresses);
  }
  if (neighbours_.is_due(now)) {
    std::set<model::IpAddress> all;
    for (const auto& [key, entry] : book_.entries()) {
      for (const auto& one : entry.plan.backends) all.insert(one.backend.address);
    }
    neighbours_.begin_round(std::move(all), now);
  }
  neighbours_.poll();
}

void Edge::finish_moves() {
  const auto now = Clock::now();
  for (auto at = moving_.begin(); at != moving_.end();) {
    if (now - at->second < kMoveTime) {
      ++at;
      continue;
    }
    write(book_.settle(at->first));
    settled_.insert(at->first);
    at = moving_.erase(at);
  }
  if (now < next_clearing_ || settled_.empty()) return;
  next_clearing_ = now + kClearEvery;
  std::map<std::uint32_t, model::ObjectName> owner;  // of backend ids
  for (const auto& [key, entry] : book_.entries()) {
    for (const auto& [backend, number] : entry.numbers) owner[book_.id_of(number)] = key.service;
  }
  std::set<std::uint32_t> living;  // those too that are held, which no service has claimed
  for (const auto& [number, id] : book_.ids()) living.insert(id);
  std::set<model::ObjectName> pinned;
  for (const auto id : tables_->drop_pins([&](std::uint32_t one) { return !living.contains(one); })) {
    if (const auto found = owner.find(id); found != owner.end()) pinned.insert(found->second);
  }
  std::erase_if(settled_, [&](const auto& service) {
    if (pinned.contains(service) || moving_.contains(service)) return false;
    write(book_.clear(service));
    return true;
  });
}

void Edge::write(const std::vector<compile::EdgeOperation>& operations) {
  for (const auto& operation : operations) {
    const auto* map = compile::map_name(operation.map);
    write_entry(map, operation.key, operation.erase ? std::nullopt : std::optional(operation.value));
  }
}

bool Edge::write_entry(const char* map, const std::string& key, std::optional<std::string> value) {
  auto done = writes_.write(*tables_, map, key, std::move(value));
  if (!done) errors_.push_back(std::move(done.error()));
  return done.has_value();
}

// What is denied is so at each step: new entries come first, then the flags that have them asked for; old ones go last.
void Edge::write_deny() {
  const auto now = system_clock::now();
  clock_offset_ = clock_offset();
  auto plan = compile::plan_deny(deny_, now, clock_offset_);
  next_expiry_ = plan.next_expiry;
  deny_refusal_ = std::move(plan.refusal);
  for (const auto& [key, value] : plan.entries) {
    const auto had = denied_.find(key);
    if (had == denied_.end() || had->second != value) write_entry("edge_deny", key, value);
  }
  const auto before = std::exchange(denied_, std::move(plan.entries));
  write_settings();
  for (const auto& [key, value] : before) {
    if (!denied_.contains(key)) write_entry("edge_deny", key, std::nullopt);
  }
}

void Edge::write_settings() {
  const auto flags = compile::deny_flags(denied_) | (book_.has_local() ? std::uint32_t{CF_EDGE_HAS_LOCAL} : 0U);
  if (settings_written_ && written_.flags == flags) return;
  written_.flags = flags;
  settings_written_ = write_entry("edge_settings", octets_of(std::uint32_t{0}), octets_of(written_));
}

bool Edge::attached() const {
  const std::lock_guard lock(mutex_);
  return !interfaces_.hook().empty();
}

control::FunctionStatus Edge::function() const {
  const std::lock_guard lock(mutex_);
  control::FunctionStatus out{"edge", interfaces_.hook(), false, ""};
  std::vector<std::string> why;
  const auto [v4, v6] = families();
  for (const auto& [lacks, family] : {std::pair(v4 && lacks_v4_, "IPv4"), std::pair(v6 && lacks_v6_, "IPv6")}) {
    if (lacks) why.push_back(fmt::format("no {} address to send from: set edge.addresses", family));
  }
  if (!port_remark_.empty()) why.push_back(port_remark_);
  if (writes_.kept() > 0) why.push_back(writes_.words());
  if (!neighbours_.failure().empty()) why.push_back(neighbours_.failure());
  for (const auto& words : {interfaces_.failures(), interfaces_.remarks()}) {
    why.insert(why.end(), words.begin(), words.end());
  }
  out.degraded = !why.empty();
  out.detail = fmt::format("{}", fmt::join(why, "; "));
  return out;
}

std::vector<std::string> Edge::problems(const model::ObjectName& service) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [key, entry] : book_.entries()) {
    if (key.service != service) continue;
    if (!entry.refusal.empty()) out.push_back("edge: " + entry.refusal);
    for (const auto& frontend : entry.contested) {
      out.push_back(fmt::format("edge: {} port {} is another service's", frontend.address.to_string(), frontend.port));
    }
    if (entry.plan.backends.empty()) out.emplace_back("edge: no backend: what comes is dropped");
  }
  return out;
}

std::vector<kernel::MapInfo> Edge::maps() const {
  auto out = tables_->maps();
  const std::lock_guard lock(mutex_);
  out.push_back({"edge_backends", book_.backends(), CF_EDGE_BACKENDS_MAX - 1});
  out.push_back({"edge_tables", book_.services(), CF_EDGE_TABLES_MAX - 1});
  return out;
}

std::vector<std::string> Edge::refusals() const {
  const std::lock_guard lock(mutex_);
  return deny_refusal_.empty() ? std::vector<std::string>{} : std::vector{deny_refusal_};
}

std::vector<std::string> Edge::unguarded() const {
  const std::lock_guard lock(mutex_);
  return interfaces_.failures();
}

}  // namespace cortexflow
