// SPDX-License-Identifier: Apache-2.0
// All services as they stand in the edge's tables: who has which number, table and frontend.  Takes plans, gives map
// writes in an order in which every state in between sends every packet to a backend of its own service.  Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/compile/edge_plan.h"
#include "agent/compile/edge_slots.h"
#include "agent/compile/service_book.h"

namespace cortexflow::compile {

enum class EdgeMap : std::uint8_t { kFrontends, kTables, kBackends, kRanges };

// As bpftool and bpf/lib/edge_maps.h name it.
[[nodiscard]] const char* map_name(EdgeMap map);

struct EdgeOperation {
  EdgeMap map{};
  bool erase = false;  // not in kBackends, an array: there zeros are written
  std::string key;     // octets, as in bpf/abi/edge.h
  std::string value;
};

struct EdgeEntry {
  std::uint32_t service = 0;
  std::uint32_t table = 0;
  std::uint16_t owner = 0;  // as its frontends have it: owner_of() the service; 0: an agent before did not note it
  EdgePlan wanted;
  EdgePlan plan;                    // as it stands in the tables
  std::vector<Frontend> frontends;  // that it has
  std::vector<Frontend> contested;  // wanted, but another service has them
  std::map<Backend, std::uint16_t> numbers;
  EdgeSlots slots;
  std::string refusal;  // why the tables aren't what the plan wants; empty if they are
};

// What an agent before left in the tables, by service number; without names, as the kernel has but a note of them.
// Entries without frontends are there too: of a writer that was killed, or of services whose frontends others had.
struct EdgeAdopted {
  std::map<std::uint32_t, EdgeEntry> entries;
  std::map<std::uint16_t, std::uint32_t> ids;  // of backends
  std::set<Frontend> local;                    // backends on this node that may answer
  std::set<std::uint32_t> tables;              // that no frontend names
};

// From the maps' contents, keys and values as octets.
[[nodiscard]] EdgeAdopted adopt_edge(const std::map<EdgeMap, std::vector<std::pair<std::string, std::string>>>& maps);

class EdgeBook {
 public:
  EdgeBook() = default;
  // A service is known again by its frontends: its flows stay where they are.
  explicit EdgeBook(EdgeAdopted adopted);

  // Each service's new plans; an empty list takes it out.
  [[nodiscard]] std::vector<EdgeOperation> update(const std::map<model::ObjectName, std::vector<EdgePlan>>& changed);

  // As ServiceBook::hold(), held() and unclaimed().
  void hold(ServiceBook::Incomplete incomplete) { incomplete_ = std::move(incomplete); }
  [[nodiscard]] const std::set<model::ObjectName>& held() const { return held_; }
  [[nodiscard]] std::size_t unclaimed() const { return unclaimed_.size(); }

  // What was adopted and no plan has claimed is taken out, and its frontends go to who else wants them: to be called
  // once the configuration has been read.  Those stay whose service, by its owner_of(), is in `stay`.  A service's
  // number is given to no other before all that was left under it is out.
  [[nodiscard]] std::vector<EdgeOperation> drop_unclaimed(const std::set<std::uint16_t>& stay = {});

  // For all ports of the service: see edge_slots.h.
  [[nodiscard]] std::vector<EdgeOperation> settle(const model::ObjectName& service);
  [[nodiscard]] std::vector<EdgeOperation> clear(const model::ObjectName& service);

  [[nodiscard]] const std::map<PortKey, EdgeEntry>& entries() const { return entries_; }
  // That a backend's pins name; 0: nobody has the number.
  [[nodiscard]] std::uint32_t id_of(std::uint16_t number) const {
    const auto found = ids_.find(number);
    return found == ids_.end() ? 0 : found->second;
  }
  [[nodiscard]] const std::map<std::uint16_t, std::uint32_t>& ids() const { return ids_; }  // of numbers in use
  [[nodiscard]] std::size_t backends() const { return ids_.size(); }                        // in use
  [[nodiscard]] std::size_t services() const { return tables_.size(); }                     // likewise
  [[nodiscard]] bool has_local() const { return !local_.empty(); }                          // CF_EDGE_HAS_LOCAL

 private:
  class Writer;
  void put(const PortKey& key, const EdgePlan& plan, Writer& writer);
  void close(EdgeEntry& entry, const EdgePlan& plan, Writer& writer);
  void release(const PortKey& key, Writer& writer);
  void remove(const EdgeEntry& entry, Writer& writer);
  static void erase_table(std::uint32_t table, Writer& writer);
  std::vector<EdgeOperation> finish(Writer writer);
  void give_up(const Frontend& frontend, Writer& writer);
  void claim_frontends(const PortKey& key, EdgeEntry& entry, Writer& writer);
  void write_backends(EdgeEntry& entry, const EdgePlan* before, Writer& writer);
  void write_ranges(std::uint32_t service, const std::vector<model::Cidr>& before, const std::vector<model::Cidr>& now,
                    Writer& writer);
  void place_local(const EdgeEntry& entry, const EdgePlan& plan, bool there, Writer& writer);
  [[nodiscard]] std::string lacks_room(const EdgePlan& plan, const EdgeEntry* entry) const;
  std::uint16_t new_number();

  [[nodiscard]] std::optional<std::uint32_t> find_unclaimed(const EdgePlan& plan) const;
  [[nodiscard]] bool is_held(const EdgePlan& plan) const;
  void claim(std::uint32_t service, const PortKey& key);
  void retry(Writer& writer);

  std::map<PortKey, EdgeEntry> entries_;
  std::map<std::uint32_t, EdgeEntry> unclaimed_;
  std::map<Frontend, std::uint32_t> unclaimed_frontends_;
  std::set<Frontend> unclaimed_local_;
  std::set<std::uint32_t> unclaimed_tables_;
  ServiceBook::Incomplete incomplete_;
  std::set<model::ObjectName> held_;
  std::map<Frontend, PortKey> owners_;
  std::map<Frontend, std::set<std::uint32_t>> local_;  // CF_EDGE_LOCAL_BACKEND entries: whose
  std::map<std::uint16_t, std::uint32_t> ids_;         // backend number -> id, of those in use
  std::set<std::uint32_t> tables_;                     // in use
  std::size_t ranges_ = 0;                             // in use
  std::uint32_t next_service_ = 1, next_id_ = 1;
  std::uint16_t last_number_ = 0;
};

}  // namespace cortexflow::compile
