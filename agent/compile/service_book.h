// SPDX-License-Identifier: Apache-2.0
// All services as they stand in the kernel's tables: who has which number and which frontend.  Takes plans, gives map
// operations.  No system call; the same changes in the same order give the same operations.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/compile/image.h"
#include "agent/compile/operations.h"
#include "agent/compile/service_plan.h"

namespace cortexflow::compile {

// A service port in one address family.
struct PortKey {
  model::ObjectName service;
  std::string port_name;
  model::Protocol protocol = model::Protocol::kTcp;
  bool v4 = true;
  auto operator<=>(const PortKey&) const = default;
};

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
  // has it, and goes to the other when it is released.
  [[nodiscard]] std::vector<Operation> update(const std::map<model::ObjectName, std::vector<ServicePlan>>& changed);

  // Adopted images that no plan has claimed are taken out: to be called once the configuration has been read whole.
  [[nodiscard]] std::vector<Operation> drop_unclaimed();

  [[nodiscard]] const std::map<PortKey, Entry>& entries() const { return entries_; }
  // By its number in the maps; null: there is none.
  [[nodiscard]] const Entry* find(std::uint32_t number) const;
  [[nodiscard]] const Usage& usage() const { return usage_; }

 private:
  struct Before {
    bool there = false;
    ServiceImage image;
  };
  using Changes = std::map<std::uint32_t, Before>;  // by service number: as it was when the update began

  void remember(Changes& changes, std::uint32_t number, const ServiceImage* image) const;
  void release(const PortKey& key, Changes& changes, std::set<PortKey>& waiting);
  void put(const PortKey& key, const ServicePlan& plan, Changes& changes, std::set<PortKey>& waiting);
  void free_frontend(const Frontend& frontend, std::set<PortKey>& waiting);
  void stop_contending(const PortKey& key, Entry& entry);
  std::uint32_t claim_number(const ServicePlan& plan, ServiceImage& adopted, bool& was_adopted);
  std::vector<Operation> finish(const Changes& changes) const;

  std::map<PortKey, Entry> entries_;
  std::set<PortKey> refused_;
  std::map<Frontend, PortKey> owners_;
  std::map<Frontend, std::set<PortKey>> contenders_;  // who else wants it
  std::map<std::uint32_t, PortKey> by_number_;
  std::map<std::uint32_t, ServiceImage> unclaimed_;
  std::map<Frontend, std::uint32_t> unclaimed_frontends_;
  Numbers numbers_;
  Usage limits_ = kLimits;
  Usage usage_;
};

}  // namespace cortexflow::compile
