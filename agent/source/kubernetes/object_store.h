// SPDX-License-Identifier: Apache-2.0
// What the API server has, by object: which model objects each became, what of it could not be used, and what has
// changed since that was last asked.  An object that reads as before has not changed, whatever else is in it (its
// status, say).  The model's objects are shared with the desired state.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/object.h"
#include "agent/source/kubernetes/object_cache.h"
#include "agent/source/kubernetes/resource.h"

namespace cortexflow::source {

inline constexpr std::size_t kObjectsMax = 262'144;  // of one kind: more are refused, and counted

class ObjectStore {
 public:
  // `cache` may be null: what is said is not kept.
  explicit ObjectStore(ObjectCache* cache) : cache_(cache) {}

  // What the cache has.
  void load();

  void put(std::size_t resource, const model::ObjectName& name, nlohmann::json& object, const std::string& version);
  void erase(std::size_t resource, const model::ObjectName& name);
  void begin_list(std::size_t resource) {
    ++kinds_[resource].list;
    kinds_[resource].beyond_limit = 0;
  }
  void end_list(std::size_t resource);  // what was not put since begin_list() goes
  void clear(std::size_t resource);

  [[nodiscard]] bool changed() const { return changed_; }
  // All since the call before; `unread` and what concerns the whole are the caller's to add.
  [[nodiscard]] model::SourceUpdate take();
  [[nodiscard]] std::size_t size(std::size_t resource) const { return kinds_[resource].entries.size(); }
  [[nodiscard]] std::uint64_t beyond_limit(std::size_t resource) const { return kinds_[resource].beyond_limit; }
  // Writes what waits for the cache, and it anew where it has grown too long.
  void flush();

 private:
  struct Entry {
    std::string version;
    std::vector<model::Object> objects;  // what counts of it
    std::uint64_t cached_at = 0;
    std::uint32_t list = 0;  // that had it last
  };
  struct Refused {
    model::Refusal refusal;
    bool never_read = false;
    bool outward = false;  // as in model::Unread
    bool operator==(const Refused&) const = default;
  };
  struct Kind {
    std::map<model::ObjectName, Entry> entries;
    std::map<model::ObjectName, Refused> refused;
    std::uint32_t list = 0;
    std::uint64_t beyond_limit = 0;  // of the latest list, and told since
  };

  void read(std::size_t resource, const model::ObjectName& name, const nlohmann::json& object, Entry& entry);
  void drop(std::size_t resource, std::map<model::ObjectName, Entry>::iterator at);

  ObjectCache* cache_;
  std::vector<Kind> kinds_ = std::vector<Kind>(resources().size());
  std::map<model::ObjectKey, std::optional<model::Object>> changes_;
  bool changed_ = false;
};

}  // namespace cortexflow::source
