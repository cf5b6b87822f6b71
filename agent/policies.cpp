// SPDX-License-Identifier: Apache-2.0
#include "agent/policies.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>

#include <algorithm>

#include "agent/base/octets.h"
#include "agent/kernel/namespaces.h"
#include "agent/model/time_text.h"

namespace cortexflow {
namespace {

constexpr std::chrono::seconds kLookEvery{1};
// All is compiled anew: where pods come and go all the time, that takes a fifth of a core at most.
constexpr int kPodsRest = 4;
constexpr std::chrono::milliseconds kPodsRestMax{500};
constexpr std::size_t kLocalsMax = CF_POLICY_LOCALS_MAX / 2;  // a new set is written before the last one goes

std::string range_key(const std::string& cidr) {
  const auto slash = cidr.find('/');
  const auto prefix = model::IpAddress::parse(cidr.substr(0, slash)).value_or(model::IpAddress{});
  const auto length = static_cast<std::uint32_t>(std::stoul(cidr.substr(slash + 1))) + (prefix.is_v4() ? 96U : 0U);
  cf_policy_range key{length, {}};
  std::copy(prefix.octets.begin(), prefix.octets.end(), key.address);
  return octets_of(key);
}

std::string address_key(const model::IpAddress& address) {
  return {reinterpret_cast<const char*>(address.octets.data()), address.octets.size()};
}

template <typename Key>
std::string in_table(const std::string& octets, std::uint32_t table) {
  auto key = value_of<Key>(octets).value_or(Key{});
  key.table = table;
  return octets_of(key);
}

bool same_rules(const std::map<std::string, cf_policy_rule>& one, const std::map<std::string, cf_policy_rule>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const auto& a, const auto& b) {
    return a.first == b.first && octets_of(a.second) == octets_of(b.second);
  });
}

bool has(const model::Unread& unread, std::initializer_list<model::Kind> kinds) {
  return std::any_of(unread.objects.begin(), unread.objects.end(), [&](const model::ObjectKey& key) {
    return std::find(kinds.begin(), kinds.end(), key.kind) != kinds.end();
  });
}

// A NetworkPolicy that can't be read closes its namespace, whoever was allowed before.
bool lacks_more_than_network_policies(const model::Unread& unread) {
  return unread.anything ||
         has(unread, {model::Kind::kPod, model::Kind::kNamespace, model::Kind::kAuthorizationPolicy});
}

}  // namespace

Policies::Policies(const source::Settings& settings, std::string cgroup_root)
    : options_(settings.policy), cgroup_root_(std::move(cgroup_root)), pin_path_(settings.pin_path) {
  input_.trust_domain = options_.trust_domain;
}

Result<void> Policies::open() {
  const std::lock_guard lock(mutex_);
  return kernel::PolicyTables::is_pinned(pin_path_) ? load() : Result<void>{};
}

Result<void> Policies::load() {
  auto tables = kernel::PolicyTables::open({cgroup_root_, pin_path_, false, shared_sockets_});
  if (!tables) {
    failure_ = tables.error().to_string();
    return tl::make_unexpected(std::move(tables.error()));
  }
  failure_.clear();
  tables_ = std::move(*tables);
  if (tables_->adopted()) adopt();
  if (settings_.hash_key[0] == 0 && settings_.hash_key[1] == 0 &&
      getrandom(settings_.hash_key, sizeof settings_.hash_key, 0) != sizeof settings_.hash_key) {
    return fail_errno("cannot make a key for workloads' identities", errno);
  }
  input_.hash_key = {settings_.hash_key[0], settings_.hash_key[1]};
  return {};
}

void Policies::adopt() {
  tables_->set_keep_on_exit(true);
  settings_ = tables_->settings();
  if (settings_.flags & CF_POLICY_BOOT) {
    closed_since_ = tables_->closed_since();
    spdlog::warn("policy: closed since {} (cfagent --close), until all policies can be read",
                 model::time_text(*closed_since_));
  }
  const auto into = [&](const char* map, Octets& octets) {
    for (auto& [key, value] : tables_->read(map)) octets.emplace(std::move(key), std::move(value));
  };
  into("policy_addresses", addresses_);
  into("policy_locals", locals_);
  into("policy_targets", targets_);
  into("policy_ranges", ranges_);
  for (const auto& [key, value] : tables_->read("policy_rules")) {
    const auto table = value_of<cf_policy_rule_key>(key)->table;
    written_[table].rules.emplace(in_table<cf_policy_rule_key>(key, 0), *value_of<cf_policy_rule>(value));
  }
  for (const auto& [key, value] : tables_->read("policy_blocks")) {
    const auto table = value_of<cf_policy_block_key>(key)->table;
    written_[table].blocks.emplace(in_table<cf_policy_block_key>(key, 0), *value_of<cf_policy_rule>(value));
  }
  for (const auto& [number, table] : written_) {
    for (const auto* rules : {&table.rules, &table.blocks}) {
      for (const auto& [key, rule] : *rules) stale_hits_.insert(std::begin(rule.rule), std::end(rule.rule));
    }
  }
  for (const auto& [key, value] : targets_) {
    const auto target = *value_of<cf_policy_target>(value);
    for (const auto& side : target.side) last_table_ = std::max(last_table_, side.table);
  }
  if (!written_.empty()) last_table_ = std::max(last_table_, written_.rbegin()->first);
}

Result<void> Policies::services_are_attached() {
  const std::lock_guard lock(mutex_);
  services_attached_ = true;
  return tables_ ? tables_->attach_connects() : Result<void>{};
}

void Policies::end_as_configured() {
  const std::lock_guard lock(mutex_);
  started_ = true;
}

Policies::~Policies() {
  if (!tables_ || !started_) return;
  tables_->set_keep_on_exit(options_.keep_on_exit && (held() || !targets_.empty() || !input_.policies.empty() ||
                                                      !input_.network_policies.empty()));
}

Result<void> Policies::update(const state::Update& update, const model::Unread& unread) {
  const std::lock_guard lock(mutex_);
  snapshot_ = update.snapshot;
  const bool was_complete = complete_;
  unread_ = unread;
  complete_ = complete_ || !lacks_more_than_network_policies(unread_);
  const auto& touched = update.touched;
  const bool closing_changed = close_unread();
  const bool only_pods = was_complete && !closing_changed && touched.namespaces.empty() && !touched.nodes &&
                         !touched.authorization_policies && !touched.network_policies;
  if (only_pods && !pods_changed(touched.pods)) return {};
  if (!tables_) {
    bool any = !input_.closed_namespaces.at(CF_POLICY_IN).empty() || !input_.network_closed_namespaces.empty();
    snapshot_->authorization_policies.for_each([&](const auto&) { any = true; });
    snapshot_->network_policies.for_each([&](const auto&) { any = true; });
    if (!any) return {};
    if (auto loaded = load(); !loaded) return loaded;
  }
  // What an agent before left stays until all can be read: who is allowed is not known before.
  if (held()) return tables_->attach();
  if (only_pods && std::chrono::steady_clock::now() < next_pods_) {
    pods_wait_ = true;
    return {};
  }
  return apply();
}

// In what policies look at: a pod's readiness, node or container says nothing here.
bool Policies::pods_changed(const std::set<model::ObjectName>& touched) const {
  const auto same = [](const model::Pod& one, const model::Pod& other) {
    return one.labels == other.labels && one.addresses == other.addresses &&
           one.service_account == other.service_account && one.cgroup == other.cgroup && one.netns == other.netns &&
           one.host_network == other.host_network && one.ports == other.ports;
  };
  return std::any_of(touched.begin(), touched.end(), [&](const model::ObjectName& name) {
    const auto now = snapshot_->pods.find(name);
    const auto at = std::lower_bound(input_.pods.begin(), input_.pods.end(), name,
                                     [](const auto& pod, const auto& wanted) { return pod->name < wanted; });
    const bool had = at != input_.pods.end() && (*at)->name == name;
    return had != (now != nullptr) || (had && !same(**at, *now));
  });
}

// Not all is known yet, and what an agent before left, or boot, says more.  From boot on everything is closed, and less
// has to be known to do better: a policy that can't be read closes its namespace.
bool Policies::held() const {
  if (!tables_ || !tables_->adopted() || took_over_) return false;
  return closed_since_ ? unread_.anything || has(unread_, {model::Kind::kPod}) : !complete_;
}

// Namespaces with policies that nobody could read: closed until they can be read or go, whenever they come.  True: they
// are others than before.
bool Policies::close_unread() {
  decltype(input_.closed_namespaces) closed;
  std::set<std::string> network_closed, unread_namespaces;
  for (const auto& key : unread_.objects) {
    if (key.kind == model::Kind::kAuthorizationPolicy) closed.at(CF_POLICY_IN).insert(key.name.ns);
    if (unread_.outward.contains(key)) closed.at(CF_POLICY_OUT).insert(key.name.ns);
    if (key.kind == model::Kind::kNetworkPolicy) network_closed.insert(key.name.ns);
    if (key.kind == model::Kind::kNamespace) unread_namespaces.insert(key.name.name);
  }
  const bool changed = closed != input_.closed_namespaces || network_closed != input_.network_closed_namespaces ||
                       unread_namespaces != input_.unread_namespaces;
  input_.closed_namespaces = std::move(closed);
  input_.network_closed_namespaces = std::move(network_closed);
  input_.unread_namespaces = std::move(unread_namespaces);
  return changed;
}

Result<void> Policies::set_node_addresses(std::vector<model::IpAddress> addresses) {
  const std::lock_guard lock(mutex_);
  if (addresses == input_.node_addresses) return {};
  input_.node_addresses = std::move(addresses);
  if (!tables_ || held()) return {};
  return apply();
}

Result<void> Policies::tick(std::chrono::steady_clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (!tables_ || held()) return {};
  if (pods_wait_ && now >= next_pods_) return apply();
  if (now - looked_ < kLookEvery) return {};
  looked_ = now;
  if (auto kept = keep_pinned(); !kept) return kept;
  find_locals();
  const bool whole = std::all_of(written_.begin(), written_.end(), [](const auto& one) { return one.second.whole; });
  return locals_wanted_ == locals_ && failure_.empty() && whole ? Result<void>{} : apply();
}

// An error once: function_status() goes on saying it.
Result<void> Policies::keep_pinned() {
  auto kept = tables_->keep_pinned();
  const auto problem = kept ? std::string() : kept.error().to_string();
  const bool known = problem == pin_problem_;
  pin_problem_ = problem;
  if (kept && *kept) spdlog::warn("policy: pins in {} were gone: made again", pin_path_);
  return kept || known ? Result<void>{} : tl::make_unexpected(std::move(kept.error()));
}

// By cgroup and network namespace, as far as they are there.
void Policies::find_locals() {
  locals_wanted_.clear();
  local_refusals_.clear();
  const auto put = [&](const model::Pod& pod, cf_policy_local_kind kind, const Result<std::uint64_t>& id) {
    const auto refuse = [&](const std::string& why) {
      local_refusals_.push_back(fmt::format("Pod {}/{}: {}", pod.name.ns, pod.name.name, why));
    };
    if (!id) return refuse(id.error().to_string());
    if (locals_wanted_.size() >= kLocalsMax)
      return refuse(fmt::format("{} cgroups and namespaces are known: known by its addresses alone", kLocalsMax));
    const auto identity = octets_of(plan_.pods.at(pod.name));
    const auto [known, fresh] =
        locals_wanted_.emplace(octets_of(cf_policy_local{*id, static_cast<__u32>(kind), 0}), identity);
    if (!fresh && known->second != identity) refuse("another pod of another identity is in its cgroup or namespace");
  };
  for (const auto& pod : input_.pods) {
    if (!plan_.pods.contains(pod->name)) continue;
    if (!pod->netns.empty()) put(*pod, CF_POLICY_LOCAL_NETNS, kernel::netns_cookie(pod->netns));
    if (pod->cgroup.empty()) continue;
    const bool below = pod->cgroup.starts_with('/');
    put(*pod, CF_POLICY_LOCAL_CGROUP, kernel::cgroup_id(cgroup_root_ + (below ? "" : "/") + pod->cgroup));
  }
}

std::uint32_t Policies::flags() const {
  std::uint32_t out = targets_.empty() ? 0U : static_cast<std::uint32_t>(CF_POLICY_ON);
  for (const auto& [key, target] : targets_) {
    if (value_of<cf_policy_target>(target)->side[CF_POLICY_OUT].flags != 0) out |= CF_POLICY_HAS_OUT;
  }
  for (const auto& [key, identity] : locals_) {
    out |= value_of<cf_policy_local>(key)->kind == CF_POLICY_LOCAL_NETNS ? CF_POLICY_HAS_NETNS : CF_POLICY_HAS_CGROUPS;
  }
  if (plan_.addresses_full && !targets_.empty()) out |= CF_POLICY_FULL;
  return out | (ranges_.empty() ? 0U : static_cast<std::uint32_t>(CF_POLICY_HAS_RANGES));
}

// `had` is what the kernel has, however far this comes; as below.
Result<void> Policies::put_all(const char* map, const Octets& wanted, Octets& had) {
  for (const auto& [key, value] : wanted) {
    const auto known = had.find(key);
    if (known != had.end() && known->second == value) continue;
    if (auto put = tables_->put(map, key, value); !put) return put;
    had.insert_or_assign(key, value);
  }
  return {};
}

Result<void> Policies::erase_others(const char* map, const Octets& wanted, Octets& had) {
  for (auto at = had.begin(); at != had.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    if (auto erased = tables_->erase(map, at->first); !erased) return erased;
    at = had.erase(at);
  }
  return {};
}

// Those that the kernel has not under any number.  A table that can't be written whole closes its workloads, until it
// is written anew.
void Policies::write_tables(std::map<std::uint64_t, cf_policy_target>& targets) {
  std::vector<std::uint32_t> numbers;
  std::set<std::size_t> closed;
  for (std::size_t i = 0; i < plan_.tables.size(); ++i) {
    const auto& table = plan_.tables[i];
    const auto known = std::find_if(written_.begin(), written_.end(), [&](const auto& one) {
      return one.second.whole && same_rules(one.second.rules, table.rules) &&
             same_rules(one.second.blocks, table.blocks);
    });
    if (known != written_.end()) {
      numbers.push_back(known->first);
      continue;
    }
    const auto number = ++last_table_;
    numbers.push_back(number);
    auto& written = written_[number] = {table.rules, table.blocks, true};
    Result<void> put;
    for (auto at = table.rules.begin(); put && at != table.rules.end(); ++at) {
      put = tables_->put("policy_rules", in_table<cf_policy_rule_key>(at->first, number), octets_of(at->second));
    }
    for (auto at = table.blocks.begin(); put && at != table.blocks.end(); ++at) {
      put = tables_->put("policy_blocks", in_table<cf_policy_block_key>(at->first, number), octets_of(at->second));
    }
    if (put) continue;
    written.whole = false;
    closed.insert(i);
    plan_.refusals.push_back(
        fmt::format("policy: {}: the workloads whose rules these are are closed", std::move(put.error()).to_string()));
  }
  for (const auto& [identity, target] : plan_.targets) {
    auto& written = targets[identity];
    for (std::size_t direction = 0; direction < target.size(); ++direction) {
      const auto& side = target.at(direction);
      if (side.flags == 0) continue;
      const auto closing = closed.contains(side.table) ? static_cast<__u32>(CF_POLICY_CLOSED) : 0U;
      written.side[direction] = {numbers[side.table], side.flags | closing};
    }
  }
}

Result<void> Policies::erase_tables(const std::set<std::uint32_t>& numbers) {
  for (const auto number : numbers) {
    const auto found = written_.find(number);
    if (found == written_.end()) continue;
    found->second.whole = false;  // until the last of it is gone, it is neither
    for (const auto& [key, value] : found->second.rules) {
      if (auto gone = tables_->erase("policy_rules", in_table<cf_policy_rule_key>(key, number)); !gone) return gone;
    }
    for (const auto& [key, value] : found->second.blocks) {
      if (auto gone = tables_->erase("policy_blocks", in_table<cf_policy_block_key>(key, number)); !gone) return gone;
    }
    written_.erase(found);
  }
  return {};
}

Result<void> Policies::write_settings() {
  ++settings_.generation;
  if (first_generation_ == 0) first_generation_ = settings_.generation;
  settings_.flags = flags();
  settings_.unknown = unknown_peers();
  auto written = tables_->put("policy_settings", octets_of(std::uint32_t{0}), octets_of(settings_));
  if (written && closed_since_) {
    closed_since_.reset();
    spdlog::info("policy: all policies are in force: nothing is closed since boot any more");
  }
  return written;
}

cf_policy_unknown Policies::unknown_peers() const {
  return options_.unknown == "allow"   ? CF_POLICY_UNKNOWN_ALLOW
         : options_.unknown == "audit" ? CF_POLICY_UNKNOWN_AUDIT
                                       : CF_POLICY_UNKNOWN_DENY;
}

void Policies::gather_into(compile::PolicyInput& input) const {
  input.policies.clear();
  input.network_policies.clear();
  input.pods.clear();
  input.namespaces.clear();
  input.nodes.clear();
  snapshot_->authorization_policies.for_each([&](const auto& policy) { input.policies.push_back(policy); });
  snapshot_->network_policies.for_each([&](const auto& policy) { input.network_policies.push_back(policy); });
  snapshot_->pods.for_each([&](const auto& pod) { input.pods.push_back(pod); });
  snapshot_->namespaces.for_each([&](const auto& one) { input.namespaces.emplace(one->name, one->labels); });
  snapshot_->nodes.for_each([&](const auto& node) { input.nodes.push_back(node); });
  const auto by_name = [](const auto& one, const auto& other) { return one->name < other->name; };
  std::sort(input.policies.begin(), input.policies.end(), by_name);
  std::sort(input.network_policies.begin(), input.network_policies.end(), by_name);
  std::sort(input.pods.begin(), input.pods.end(), by_name);
  std::sort(input.nodes.begin(), input.nodes.end(), by_name);
}

Result<void> Policies::apply() {
  const auto began = std::chrono::steady_clock::now();
  pods_wait_ = false;
  auto done = write_plan();
  const auto ended = std::chrono::steady_clock::now();
  next_pods_ = ended + std::min<std::chrono::steady_clock::duration>((ended - began) * kPodsRest, kPodsRestMax);
  return done;
}

Result<void> Policies::write_plan() {
  took_over_ = true;
  gather_into(input_);
  plan_ = compile::plan_policies(input_, numbers_);
  find_locals();

  Octets addresses, targets, ranges;
  std::map<std::uint64_t, cf_policy_target> planned;
  for (const auto& [address, identity] : plan_.addresses) addresses[address_key(address)] = octets_of(identity);
  for (const auto& cidr : options_.workload_ranges) ranges[range_key(cidr)] = octets_of(std::uint32_t{1});
  // 1. What is pointed to, 2. what points to it, 3. that all verdicts are made anew, 4. what nothing points to.
  write_tables(planned);
  for (const auto& [identity, target] : planned) targets[octets_of(identity)] = octets_of(target);
  const auto step = [&](const Result<void>& done) {
    if (!done && failure_.empty()) failure_ = done.error().to_string();
    return done.has_value();
  };
  failure_.clear();
  bool good = step(put_all("policy_targets", targets, targets_)) && step(put_all("policy_ranges", ranges, ranges_)) &&
              step(put_all("policy_addresses", addresses, addresses_)) &&
              step(put_all("policy_locals", locals_wanted_, locals_)) &&
              step(erase_others("policy_addresses", addresses, addresses_)) &&
              step(erase_others("policy_locals", locals_wanted_, locals_)) &&
              step(erase_others("policy_ranges", ranges, ranges_)) &&
              step(erase_others("policy_targets", targets, targets_)) && step(write_settings()) &&
              step(tables_->attach()) && (!services_attached_ || step(tables_->attach_connects()));
  std::set<std::uint32_t> unused;
  for (const auto& [number, table] : written_) unused.insert(number);
  for (const auto& [identity, target] : planned) {
    for (const auto& side : target.side) unused.erase(side.table);
  }
  good = good && step(erase_tables(unused));
  for (const auto rule : stale_hits_) {
    good = good && step(tables_->put("policy_hits", octets_of(rule), octets_of(std::uint64_t{0})));
  }
  if (good) stale_hits_.clear();
  return good ? Result<void>{} : fail("policy: {}; what was in force before is as far as nothing newer is", failure_);
}

}  // namespace cortexflow
