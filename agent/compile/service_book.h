// SPDX-License-Identifier: Apache-2.0
// All services as they stand in the kernel's tables: who has which number and which frontend.  Takes plans, gives map
// operations.  No system call; the same changes in the same order give the same operations.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/compile/image.h"
#include "agent/compile/operations.h"
#include "agent/compile/service_plan.h"

namespace cortexflow::compile {

// A service port in one address family: by its number, so that it stays the same, with its counts, under another name.
struct PortKey {
  model::ObjectName service;
  std::uint16_t port = 0;
  model::Protocol protocol = model::Protocol::kTcp;
  bool v4 = true;
  auto operator<=>(const PortKey&) const = default;
};
// Not after any port of the service.
[[nodiscard]] inline PortKey first_port(const model::ObjectName& service) {
  return {service, 0, model::Protocol{}, false};
}

struct Entry {
  std::uint32_t number = 0;
  ServicePlan plan;                 // as wanted
  ServiceImage image;               // as it stands in the maps
  std::vector<Frontend> contested;  // wanted, but another service has them
  std::string refusal;              // why the image isn't what the plan wants; empty if it is
  bool placed = false;              // false: refused when new, nothing of it is in the maps
};

// Entries in use of each kind, and how many there may be (bpf/abi/service.h).
struct Usage {
  std::size_t frontends = 0, services = 0, subsets = 0, slots = 0, backends = 0;
};
inline constexpr Usage kLimits{CF_SVC_FRONTENDS_MAX, CF_SVC_SERVICES_MAX, CF_SVC_SUBSETS_MAX, CF_SVC_SLOTS_MAX,
                               CF_SVC_BACKENDS_MAX};

// What was found in the maps of an agent before: images by their numbers.
struct Adopted {
  std::map<std::uint32_t, ServiceImage> images;
  Numbers numbers;
};

class ServiceBook {
 public:
  ServiceBook() = default;
  // A change that would pass `limits` is refused: the service stays as it is, and a new one gets no backends.
  explicit ServiceBook(Adopted adopted, Usage limits = kLimits);

  // Each service's new plans; an empty list takes it out.  A frontend that two services want stays with the one that
  // has it, and goes to the other when it is released; but who has it as cluster IP takes it from who names it from
  // outside.  One that nobody has goes to the service that was created first, or comes first by name.
  [[nodiscard]] std::vector<Operation> update(const std::map<model::ObjectName, std::vector<ServicePlan>>& changed);

  // Says of a service that something of it may be missing in its plans, as it can't be read.
  using Incomplete = std::function<bool(const model::ObjectName&)>;
  // From now on an adopted image of such a service is left unclaimed, and in the maps, where the plan would change it.
  void hold(Incomplete incomplete) { incomplete_ = std::move(incomplete); }
  // Services whose plans were left out for that; to be planned again when more can be read.
  [[nodiscard]] const std::set<model::ObjectName>& held() const { return held_; }
  [[nodiscard]] std::size_t unclaimed() const { return unclaimed_.size(); }
  // By number: what an agent before left and no plan has claimed.
  [[nodiscard]] const std::map<std::uint32_t, ServiceImage>& unclaimed_images() const { return unclaimed_; }
  [[nodiscard]] bool is_unclaimed(std::uint32_t number) const { return unclaimed_.contains(number); }

  // Adopted images that no plan has claimed are taken out, and their frontends go to who else wants them: to be called
  // once the configuration has been read.  Those stay whose service, by its owner_of(), is in `stay`.
  [[nodiscard]] std::vector<Operation> drop_unclaimed(const std::set<std::uint16_t>& stay = {});

  [[nodiscard]] const std::map<PortKey, Entry>& entries() const { return entries_; }
  // By its number in the maps; null: there is none.
  [[nodiscard]] const Entry* find(std::uint32_t number) const;
  [[nodiscard]] const Usage& usage() const { return usage_; }
  // Who wants a frontend and has it not.
  [[nodiscard]] const std::map<Frontend, std::set<PortKey>>& contenders() const { return contenders_; }
  // Who has it; null: nobody, or an image that no plan has claimed.
  [[nodiscard]] const PortKey* holder(const Frontend& frontend) const;

 private:
  struct Before {
    bool there = false;
    ServiceImage image;
  };
  using Changes = std::map<std::uint32_t, Before>;  // by service number: as it was when the update began

  void remember(Changes& changes, std::uint32_t number, const ServiceImage* image) const;
  void release(const PortKey& key, Changes& changes, std::set<PortKey>& waiting);
  void put(const PortKey& key, const ServicePlan& plan, Changes& changes, std::set<PortKey>& waiting);
  void put_waiting(Changes& changes, std::set<PortKey>& waiting);
  void free_frontend(const Frontend& frontend, std::set<PortKey>& waiting);
  void stop_contending(const PortKey& key, Entry& entry);
  [[nodiscard]] bool may_have(const PortKey& key, const Frontend& frontend, bool as_cluster_ip) const;
  [[nodiscard]] bool has_as_cluster_ip(const PortKey& key, const Frontend& frontend) const;
  [[nodiscard]] std::optional<std::uint32_t> find_unclaimed(const ServicePlan& plan) const;
  [[nodiscard]] bool is_held(const ServicePlan& plan) const;
  void claim(std::uint32_t number, const PortKey& key, Entry& entry);
  std::vector<Operation> finish(const Changes& changes) const;

  std::map<PortKey, Entry> entries_;
  std::set<PortKey> refused_;
  std::map<Frontend, PortKey> owners_;
  std::map<Frontend, std::set<PortKey>> contenders_;  // who else wants it
  std::map<std::uint32_t, PortKey> by_number_;
  std::map<std::uint32_t, ServiceImage> unclaimed_;
  Incomplete incomplete_;
  std::set<model::ObjectName> held_;
  std::map<Frontend, std::uint32_t> unclaimed_frontends_;
  Numbers numbers_;
  Usage limits_ = kLimits;
  Usage usage_;
};

}  // namespace cortexflow::compile
