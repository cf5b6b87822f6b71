// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/edge_book.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/octets.h"
#include "agent/compile/image.h"
#include "agent/compile/shares.h"

namespace cortexflow::compile {
namespace {

cf_edge_address address_of(const Frontend& frontend) {
  cf_edge_address key{};
  std::copy(frontend.address.octets.begin(), frontend.address.octets.end(), key.address);
  key.port = frontend.port;
  key.protocol = static_cast<std::uint8_t>(frontend.protocol);
  return key;
}

cf_edge_frontend frontend_value(const EdgeEntry& entry, const Frontend& frontend) {
  cf_edge_frontend value{};
  value.service = entry.service;
  value.table = entry.table;
  value.mode = static_cast<std::uint8_t>(entry.plan.mode);
  const auto& limited = entry.plan.limited;
  const bool is_limited =
      std::binary_search(limited.begin(), limited.end(), std::pair(frontend.address, frontend.port));
  value.flags =
      static_cast<std::uint8_t>((entry.plan.by_client ? CF_EDGE_BY_CLIENT : 0) | (is_limited ? CF_EDGE_LIMITED : 0));
  value.owner = entry.owner;
  return value;
}

cf_edge_range range_key(std::uint32_t service, const model::Cidr& range) {
  cf_edge_range key{};
  key.prefix_length = 32 + range.bits();
  key.service = service;
  std::copy(range.prefix.octets.begin(), range.prefix.octets.end(), key.address);
  return key;
}

// Whom it is for, and in which way, is as it was.
bool same_frontends(const EdgePlan& a, const EdgePlan& b) {
  return a.frontends == b.frontends && a.limited == b.limited && a.mode == b.mode && a.by_client == b.by_client;
}

PortKey key_of(const EdgePlan& plan) {
  return {plan.service, plan.port, plan.protocol, plan.frontends.front().first.is_v4()};
}

const EdgeBackend* find(const EdgePlan* plan, const Backend& backend) {
  if (!plan) return nullptr;
  for (const auto& one : plan->backends) {
    if (one.backend == backend) return &one;
  }
  return nullptr;
}

// Backend numbers of the slots.
std::vector<std::uint16_t> wanted_slots(const EdgeEntry& entry) {
  std::vector<std::string> names;
  std::vector<std::uint64_t> weights;
  for (const auto& one : entry.plan.backends) {
    names.push_back(fmt::format("{}#{}", one.backend.address.to_string(), one.backend.port));
    weights.push_back(one.draining ? 0 : one.weight);
  }
  std::vector<std::uint16_t> out(CF_EDGE_TABLE_SLOTS, 0);
  const auto table = maglev_table(names, weights, CF_EDGE_TABLE_SLOTS);
  for (std::size_t i = 0; i < table.size(); ++i) out[i] = entry.numbers.at(entry.plan.backends[table[i]].backend);
  return out;
}

bool same_slots(const EdgeSlots& a, const EdgeSlots& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.now == y.now && x.before == y.before;
         });
}

// Whether the tables would be others by this plan.  Their weights show in the slots alone.
bool would_change(const EdgeEntry& entry, const EdgePlan& plan) {
  const auto& had = entry.plan;
  if (!same_frontends(had, plan) || had.ranges != plan.ranges) return true;
  const auto same = [](const EdgeBackend& a, const EdgeBackend& b) {
    return a.backend == b.backend && a.local == b.local && a.draining == b.draining;
  };
  if (!std::equal(had.backends.begin(), had.backends.end(), plan.backends.begin(), plan.backends.end(), same))
    return true;
  EdgeEntry planned;
  planned.plan = plan;
  planned.numbers = entry.numbers;
  const auto wanted = wanted_slots(planned);
  return !std::equal(entry.slots.begin(), entry.slots.end(), wanted.begin(), wanted.end(),
                     [](const auto& slot, auto number) { return slot.now == number; });
}

EdgeOperation table_write(const EdgeEntry& entry) {
  return {EdgeMap::kTables, false, octets_of(entry.table),
          std::string(reinterpret_cast<const char*>(entry.slots.data()), entry.slots.size() * sizeof(cf_edge_slot))};
}

}  // namespace

const char* map_name(EdgeMap map) {
  switch (map) {
    case EdgeMap::kFrontends:
      return "edge_frontends";
    case EdgeMap::kTables:
      return "edge_tables";
    case EdgeMap::kBackends:
      return "edge_backends";
    case EdgeMap::kRanges:
      return "edge_ranges";
  }
  return "";
}

// What is pointed to is there before what points to it, and goes after it.
class EdgeBook::Writer {
 public:
  enum Phase { kBackends, kRanges, kTables, kFrontends, kEraseTables, kEraseRanges, kEraseBackends, kPhases };

  void put(Phase phase, EdgeOperation operation) { phases_[phase].push_back(std::move(operation)); }
  // The last word on a frontend counts, so that one that changes hands is written, not erased.
  void frontend(const Frontend& frontend, const cf_edge_frontend* value) {
    const auto key = octets_of(address_of(frontend));
    frontends_[key] = {EdgeMap::kFrontends, value == nullptr, key, value ? octets_of(*value) : std::string()};
  }
  // Given out again from the next update on.
  std::vector<std::uint16_t> free_numbers;
  std::vector<std::uint32_t> free_tables;

  std::vector<EdgeOperation> all() && {
    for (const bool erase : {false, true}) {
      for (auto& [key, operation] : frontends_) {
        if (operation.erase == erase) phases_[kFrontends].push_back(std::move(operation));
      }
    }
    std::vector<EdgeOperation> out;
    for (auto& phase : phases_) std::move(phase.begin(), phase.end(), std::back_inserter(out));
    return out;
  }

 private:
  std::array<std::vector<EdgeOperation>, kPhases> phases_;
  std::map<std::string, EdgeOperation> frontends_;
};

EdgeBook::EdgeBook(EdgeAdopted adopted)
    : unclaimed_(std::move(adopted.entries)),
      unclaimed_local_(std::move(adopted.local)),
      unclaimed_tables_(std::move(adopted.tables)),
      ids_(std::move(adopted.ids)),
      tables_(unclaimed_tables_) {
  for (const auto& [number, id] : ids_) {
    next_id_ = std::max(next_id_, id + 1);
    last_number_ = std::max(last_number_, number);
  }
  for (const auto& [service, entry] : unclaimed_) {
    next_service_ = std::max(next_service_, service + 1);
    if (entry.table != 0) tables_.insert(entry.table);
    ranges_ += entry.plan.ranges.size();
    for (const auto& frontend : entry.frontends) unclaimed_frontends_[frontend] = service;
    for (const auto& one : entry.plan.backends) {
      const Frontend address{one.backend.address, one.backend.port, entry.plan.protocol};
      if (one.local && unclaimed_local_.count(address)) local_[address].insert(service);
    }
  }
  std::erase_if(unclaimed_local_, [&](const auto& address) { return local_.count(address) > 0; });
}

// By a frontend, unless it is known to be another service's.
std::optional<std::uint32_t> EdgeBook::find_unclaimed(const EdgePlan& plan) const {
  for (const auto& [address, port] : plan.frontends) {
    const auto found = unclaimed_frontends_.find({address, port, plan.protocol});
    if (found == unclaimed_frontends_.end()) continue;
    const auto owner = unclaimed_.at(found->second).owner;
    if (owner == owner_of(plan.service) || owner == 0) return found->second;
  }
  return std::nullopt;
}

bool EdgeBook::is_held(const EdgePlan& plan) const {
  if (!incomplete_ || entries_.contains(key_of(plan)) || !incomplete_(plan.service)) return false;
  const auto service = find_unclaimed(plan);
  return service && would_change(unclaimed_.at(*service), plan);
}

void EdgeBook::claim(std::uint32_t service, const PortKey& key) {
  auto& entry = entries_[key] = std::move(unclaimed_.at(service));
  unclaimed_.erase(service);
  for (const auto& frontend : entry.frontends) {
    unclaimed_frontends_.erase(frontend);
    owners_.emplace(frontend, key);
  }
}

std::vector<EdgeOperation> EdgeBook::drop_unclaimed(const std::set<std::uint16_t>& stay) {
  Writer writer;
  for (auto at = unclaimed_.begin(); at != unclaimed_.end();) {
    const auto& entry = at->second;
    if (!entry.frontends.empty() && stay.contains(entry.owner)) {
      ++at;
      continue;
    }
    for (const auto& frontend : entry.frontends) {
      unclaimed_frontends_.erase(frontend);
      give_up(frontend, writer);
    }
    remove(entry, writer);
    at = unclaimed_.erase(at);
  }
  for (const auto table : std::exchange(unclaimed_tables_, {})) erase_table(table, writer);
  for (const auto& address : std::exchange(unclaimed_local_, {})) {
    if (!local_.count(address) && !owners_.count(address)) writer.frontend(address, nullptr);
  }
  retry(writer);
  return finish(std::move(writer));
}

// The one after the last given out: the longest unused comes back first.
std::uint16_t EdgeBook::new_number() {
  do {
    ++last_number_;
  } while (last_number_ == 0 || ids_.count(last_number_));
  ids_[last_number_] = next_id_++;
  return last_number_;
}

std::string EdgeBook::lacks_room(const EdgePlan& plan, const EdgeEntry* entry) const {
  if (!entry && tables_.size() >= CF_EDGE_TABLES_MAX - 1) {
    return fmt::format("{} services would be in use, {} are possible", tables_.size() + 1,
                       static_cast<int>(CF_EDGE_TABLES_MAX) - 1);
  }
  const auto backends = ids_.size() + plan.backends.size();
  if (backends >= CF_EDGE_BACKENDS_MAX) {
    return fmt::format("{} backends would be in use, {} are possible", backends,
                       static_cast<int>(CF_EDGE_BACKENDS_MAX) - 1);
  }
  if (const auto ranges = ranges_ + plan.ranges.size() - (entry ? entry->plan.ranges.size() : 0);
      ranges > CF_EDGE_RANGES_MAX) {
    return fmt::format("{} source ranges would be in use, {} are possible", ranges,
                       static_cast<int>(CF_EDGE_RANGES_MAX));
  }
  std::size_t frontends = owners_.size() + unclaimed_frontends_.size() + local_.size() + plan.frontends.size();
  for (const auto& one : plan.backends) frontends += one.local ? 1 : 0;
  if (frontends > CF_EDGE_FRONTENDS_MAX) {
    return fmt::format("{} frontends would be in use, {} are possible", frontends,
                       static_cast<int>(CF_EDGE_FRONTENDS_MAX));
  }
  return {};
}

void EdgeBook::write_backends(EdgeEntry& entry, const EdgePlan* before, Writer& writer) {
  for (const auto& one : entry.plan.backends) {
    const auto* had = find(before, one.backend);
    if (!entry.numbers.count(one.backend)) entry.numbers[one.backend] = new_number();
    if (had && had->local == one.local && had->draining == one.draining) continue;
    const std::uint32_t number = entry.numbers[one.backend];
    cf_edge_backend value{};
    std::copy(one.backend.address.octets.begin(), one.backend.address.octets.end(), value.address);
    value.port = one.backend.port;
    value.flags = static_cast<std::uint8_t>((one.local ? CF_EDGE_LOCAL : 0) | (one.draining ? CF_EDGE_DRAINING : 0));
    value.service = entry.service;
    value.id = ids_.at(static_cast<std::uint16_t>(number));
    writer.put(Writer::kBackends, {EdgeMap::kBackends, false, octets_of(number), octets_of(value)});
  }
  std::erase_if(entry.numbers, [&](const auto& item) {
    if (find(&entry.plan, item.first)) return false;
    const std::uint32_t number = item.second;
    writer.free_numbers.push_back(item.second);
    writer.put(Writer::kEraseBackends, {EdgeMap::kBackends, false, octets_of(number), octets_of(cf_edge_backend{})});
    return true;
  });
}

// New ones before the frontends that ask for them, old ones after.
void EdgeBook::write_ranges(std::uint32_t service, const std::vector<model::Cidr>& before,
                            const std::vector<model::Cidr>& now, Writer& writer) {
  for (const auto& range : now) {
    if (std::binary_search(before.begin(), before.end(), range)) continue;
    writer.put(Writer::kRanges,
               {EdgeMap::kRanges, false, octets_of(range_key(service, range)), octets_of(std::uint32_t{1})});
    ++ranges_;
  }
  for (const auto& range : before) {
    if (std::binary_search(now.begin(), now.end(), range)) continue;
    writer.put(Writer::kEraseRanges, {EdgeMap::kRanges, true, octets_of(range_key(service, range)), {}});
    --ranges_;
  }
}

// What comes from a backend on this node may be an answer: unless a frontend is there.
void EdgeBook::place_local(const EdgeEntry& entry, const EdgePlan& plan, bool there, Writer& writer) {
  for (const auto& one : plan.backends) {
    if (!one.local) continue;
    const Frontend address{one.backend.address, one.backend.port, plan.protocol};
    auto& users = local_[address];
    const bool was = !users.empty();
    if (there) {
      users.insert(entry.service);
    } else {
      users.erase(entry.service);
    }
    const bool is = !users.empty();
    if (!is) local_.erase(address);
    if (was == is || owners_.count(address)) continue;
    cf_edge_frontend value{};
    value.mode = CF_EDGE_LOCAL_BACKEND;
    writer.frontend(address, is ? &value : nullptr);
  }
}

// Nobody has the frontend any more.
void EdgeBook::give_up(const Frontend& frontend, Writer& writer) {
  owners_.erase(frontend);
  cf_edge_frontend local{};
  local.mode = CF_EDGE_LOCAL_BACKEND;
  writer.frontend(frontend, local_.count(frontend) ? &local : nullptr);
}

void EdgeBook::claim_frontends(const PortKey& key, EdgeEntry& entry, Writer& writer) {
  entry.frontends.clear();
  entry.contested.clear();
  for (const auto& [address, port] : entry.plan.frontends) {
    const Frontend frontend{address, port, entry.plan.protocol};
    if (unclaimed_frontends_.contains(frontend) || owners_.emplace(frontend, key).first->second != key) {
      entry.contested.push_back(frontend);
      continue;
    }
    entry.frontends.push_back(frontend);
    const auto value = frontend_value(entry, frontend);
    writer.frontend(frontend, &value);
  }
}

void EdgeBook::release(const PortKey& key, Writer& writer) {
  auto& entry = entries_.at(key);
  for (const auto& frontend : entry.frontends) give_up(frontend, writer);
  if (entry.table != 0) remove(entry, writer);
  entries_.erase(key);
}

void EdgeBook::remove(const EdgeEntry& entry, Writer& writer) {
  place_local(entry, entry.plan, false, writer);
  write_ranges(entry.service, entry.plan.ranges, {}, writer);
  for (const auto& [backend, wide] : entry.numbers) {
    const std::uint32_t number = wide;
    writer.free_numbers.push_back(wide);
    writer.put(Writer::kEraseBackends, {EdgeMap::kBackends, false, octets_of(number), octets_of(cf_edge_backend{})});
  }
  if (entry.table != 0) erase_table(entry.table, writer);
}

void EdgeBook::erase_table(std::uint32_t table, Writer& writer) {
  writer.free_tables.push_back(table);
  writer.put(Writer::kEraseTables, {EdgeMap::kTables, true, octets_of(table), {}});
}

std::vector<EdgeOperation> EdgeBook::finish(Writer writer) {
  for (const auto number : writer.free_numbers) ids_.erase(number);
  for (const auto table : writer.free_tables) tables_.erase(table);
  return std::move(writer).all();
}

// What is to be for certain clients alone is so, though nothing else of the plan is.  Where its ranges have no room
// either, for those alone whose range was there before.
void EdgeBook::close(EdgeEntry& entry, const EdgePlan& plan, Writer& writer) {
  if (plan.limited.empty() || entry.table == 0) return;
  auto& had = entry.plan;
  auto ranges = plan.ranges;
  if (ranges_ + ranges.size() - had.ranges.size() > CF_EDGE_RANGES_MAX) {
    std::erase_if(ranges,
                  [&](const auto& range) { return !std::binary_search(had.ranges.begin(), had.ranges.end(), range); });
  }
  write_ranges(entry.service, had.ranges, ranges, writer);
  had.ranges = std::move(ranges);
  auto limited = had.limited;  // what is no longer to be limited is no longer to be a frontend, or can wait
  limited.insert(limited.end(), plan.limited.begin(), plan.limited.end());
  std::sort(limited.begin(), limited.end());
  limited.erase(std::unique(limited.begin(), limited.end()), limited.end());
  if (limited == had.limited) return;
  had.limited = std::move(limited);
  for (const auto& frontend : entry.frontends) {
    const auto value = frontend_value(entry, frontend);
    writer.frontend(frontend, &value);
  }
}

void EdgeBook::put(const PortKey& key, const EdgePlan& plan, Writer& writer) {
  if (!entries_.count(key)) {
    if (const auto service = find_unclaimed(plan)) claim(*service, key);
  }
  const auto found = entries_.find(key);
  const bool placed = found != entries_.end() && found->second.table != 0;
  auto refusal = lacks_room(plan, placed ? &found->second : nullptr);
  if (!refusal.empty()) {  // what is there stays
    auto& entry = entries_[key];
    entry.wanted = plan;
    entry.refusal = std::move(refusal);
    close(entry, plan, writer);
    return;
  }
  auto& entry = entries_[key];
  const EdgePlan before = entry.plan;
  if (!placed) {
    entry.service = next_service_++;
    entry.table = 1;
    while (tables_.count(entry.table)) ++entry.table;
    tables_.insert(entry.table);
  }
  entry.refusal.clear();
  entry.wanted = entry.plan = plan;
  const auto owner = owner_of(plan.service);
  const bool same = placed && entry.owner == owner && same_frontends(before, plan) && entry.contested.empty();
  entry.owner = owner;
  const auto old_frontends = entry.frontends;
  write_backends(entry, placed ? &before : nullptr, writer);
  auto slots = entry.slots;
  if (!placed || before.backends != plan.backends) {
    std::set<std::uint16_t> living;
    for (const auto& [backend, number] : entry.numbers) living.insert(number);
    slots = move_slots(entry.slots, wanted_slots(entry), [&](auto number) { return living.count(number) > 0; });
  }
  if (!same_slots(slots, entry.slots)) {
    entry.slots = std::move(slots);
    writer.put(Writer::kTables, table_write(entry));
  }
  write_ranges(entry.service, before.ranges, plan.ranges, writer);
  if (!same) {
    for (const auto& frontend : old_frontends) {
      const std::pair address(frontend.address, frontend.port);
      if (std::find(plan.frontends.begin(), plan.frontends.end(), address) != plan.frontends.end()) continue;
      give_up(frontend, writer);
    }
    claim_frontends(key, entry, writer);
  }
  if (placed) {
    EdgePlan gone = before;
    std::erase_if(gone.backends, [&](const auto& one) {
      const auto* stays = find(&plan, one.backend);
      return stays && stays->local;
    });
    place_local(entry, gone, false, writer);
  }
  place_local(entry, plan, true, writer);
}

std::vector<EdgeOperation> EdgeBook::update(const std::map<model::ObjectName, std::vector<EdgePlan>>& changed) {
  Writer writer;
  for (const auto& [name, plans] : changed) {
    std::vector<PortKey> gone;
    for (const auto& [key, entry] : entries_) {
      if (key.service != name) continue;
      if (std::none_of(plans.begin(), plans.end(), [&, k = key](const auto& plan) { return key_of(plan) == k; })) {
        gone.push_back(key);
      }
    }
    for (const auto& key : gone) release(key, writer);
  }
  for (const auto& [name, plans] : changed) {
    held_.erase(name);
    for (const auto& plan : plans) {
      if (is_held(plan)) {
        held_.insert(name);
      } else {
        put(key_of(plan), plan, writer);
      }
    }
  }
  retry(writer);
  return finish(std::move(writer));
}

// What was given up may be what another lacked.
void EdgeBook::retry(Writer& writer) {
  for (auto& [key, entry] : entries_) {
    if (!entry.refusal.empty()) put(key, EdgePlan(entry.wanted), writer);
    const bool freed = std::any_of(entry.contested.begin(), entry.contested.end(), [&](const auto& frontend) {
      return !owners_.count(frontend) && !unclaimed_frontends_.contains(frontend);
    });
    if (freed && entry.refusal.empty()) claim_frontends(key, entry, writer);
  }
}

std::vector<EdgeOperation> EdgeBook::settle(const model::ObjectName& service) {
  std::vector<EdgeOperation> out;
  for (auto& [key, entry] : entries_) {
    if (key.service != service || states_of(entry.slots).moved == 0) continue;
    entry.slots = settle_slots(std::move(entry.slots));
    out.push_back(table_write(entry));
  }
  return out;
}

std::vector<EdgeOperation> EdgeBook::clear(const model::ObjectName& service) {
  std::vector<EdgeOperation> out;
  for (auto& [key, entry] : entries_) {
    if (key.service != service || states_of(entry.slots).pinned == 0) continue;
    entry.slots = clear_slots(std::move(entry.slots));
    out.push_back(table_write(entry));
  }
  return out;
}

}  // namespace cortexflow::compile
