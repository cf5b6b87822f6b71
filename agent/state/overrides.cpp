// SPDX-License-Identifier: Apache-2.0
#include "agent/state/overrides.h"

#include <algorithm>
#include <map>

#include "agent/model/address_port.h"

namespace cortexflow::state {
namespace {

using model::BackendAddress;
using Kind = OverrideRefusal::Kind;

tl::unexpected<OverrideRefusal> refuse(Kind kind, std::string message, std::string next_step = {}) {
  return tl::make_unexpected(OverrideRefusal{kind, {std::move(message), std::move(next_step)}});
}

std::string text_of(const model::ObjectName& name) { return name.ns + "/" + name.name; }

std::string text_of(const BackendAddress& backend) { return model::address_port_text(backend.address, backend.port); }

// Where a target leads, of what the manifests have: an address however it is spelled, or a pod's name.
class Targets {
 public:
  Targets(const Snapshot& snapshot, const model::ObjectName& service) {
    const auto parts = snapshot.parts.find(service);
    if (!parts) return;
    if (!parts->policies.empty()) {
      for (const auto& subset : parts->policies.front()->subsets) subsets_[subset.name] = subset.weight;
    }
    for (const auto& slice : parts->slices) {
      for (const auto& endpoint : slice->endpoints) {
        for (const auto& port : slice->ports) {
          const BackendAddress backend{endpoint.address, port.port};
          backends_.insert(backend);
          if (!endpoint.pod.name.empty()) of_pods_[endpoint.pod.name].insert(backend);
        }
      }
    }
  }

  [[nodiscard]] const std::map<std::string, std::uint32_t>& subsets() const { return subsets_; }
  [[nodiscard]] const std::set<BackendAddress>& backends() const { return backends_; }
  [[nodiscard]] bool has(const BackendAddress& backend) const { return backends_.contains(backend); }
  [[nodiscard]] std::set<BackendAddress> backends(const std::string& spelling) const {
    const auto of_pod = of_pods_.find(spelling);
    std::set<BackendAddress> out = of_pod == of_pods_.end() ? std::set<BackendAddress>{} : of_pod->second;
    const auto endpoint = model::parse_address_port(spelling);
    if (!endpoint) return out;
    for (auto at = backends_.lower_bound({endpoint->address, endpoint->port.value_or(0)});
         at != backends_.end() && endpoint->covers(at->address, at->port); ++at) {
      out.insert(*at);
    }
    return out;
  }

 private:
  std::map<std::string, std::uint32_t> subsets_;  // with the manifest's weight
  std::set<BackendAddress> backends_;
  std::map<std::string, std::set<BackendAddress>> of_pods_;
};

tl::unexpected<OverrideRefusal> no_service(const model::ObjectName& service) {
  return refuse(Kind::kUnknown, fmt::format("there is no service {}", text_of(service)), "see cfcli service list");
}

// The subsets' weights as they would be say who is chosen.
Overridden<void> check_subsets(const Targets& targets, const model::ServiceOverride& set) {
  if (set.subset_weights.empty()) return {};
  bool manifest_splits = false;
  std::uint64_t sum = 0;
  std::vector<std::string> unset;
  for (const auto& [name, weight] : targets.subsets()) {
    manifest_splits = manifest_splits || weight > 0;
    const auto own = set.subset_weights.find(name);
    sum += own == set.subset_weights.end() ? weight : own->second;
    if (own == set.subset_weights.end()) unset.push_back(name);
  }
  if (sum == 0) {
    return refuse(Kind::kInvalid, "every subset's weight would be 0", "give at least one subset a weight above 0");
  }
  if (!manifest_splits && !unset.empty()) {
    return refuse(Kind::kInvalid,
                  fmt::format("the policy gives no subset a weight, and {} would be left without callers",
                              fmt::join(unset, ", ")),
                  "give each subset a weight in one command");
  }
  return {};
}

// Weights that would leave the service without anybody to choose are a drain in disguise.
Overridden<void> check_backends(const Targets& targets, const model::ServiceOverride& set) {
  const auto has_none = [&](const BackendAddress& backend) {
    const auto own = set.backend_weights.find(backend);
    return own != set.backend_weights.end() && own->second == 0;
  };
  const auto& all = targets.backends();
  if (all.empty() || !std::all_of(all.begin(), all.end(), has_none)) return {};
  return refuse(Kind::kInvalid, "every backend's weight would be 0",
                "give at least one backend a weight above 0, or drain them (cfcli lb drain)");
}

Overridden<model::ServiceOverride> bounded(model::ServiceOverride set) {
  if (set.backend_weights.size() + set.drained.size() <= kOverrideTargetsMax) return set;
  return refuse(Kind::kFull, fmt::format("a service takes at most {} settings of backends", kOverrideTargetsMax),
                "take some back (cfcli lb reset, cfcli lb undrain)");
}

}  // namespace

Overridden<model::ServiceOverride> set_weights(const Snapshot& snapshot, const model::ObjectName& service,
                                               model::ServiceOverride now, const Weights& weights) {
  if (!snapshot.services.find(service)) return no_service(service);
  const Targets targets(snapshot, service);
  for (const auto& [target, weight] : weights) {
    if (weight > kWeightMax) {
      return refuse(Kind::kInvalid, fmt::format("weight {} of {}: expected 0 to {}", weight, target, kWeightMax));
    }
    if (targets.subsets().contains(target)) {
      now.subset_weights[target] = weight;
      continue;
    }
    const auto backends = targets.backends(target);
    if (backends.empty()) {
      return refuse(Kind::kUnknown, fmt::format("{} has no subset and no backend {}", text_of(service), target),
                    "see cfcli lb list");
    }
    for (const auto& backend : backends) now.backend_weights[backend] = weight;
  }
  if (auto checked = check_subsets(targets, now); !checked) return tl::make_unexpected(std::move(checked.error()));
  if (auto checked = check_backends(targets, now); !checked) return tl::make_unexpected(std::move(checked.error()));
  return bounded(std::move(now));
}

Overridden<model::ServiceOverride> reset_weights(const Snapshot& snapshot, const model::ObjectName& service,
                                                 model::ServiceOverride now) {
  if (!snapshot.services.find(service)) return no_service(service);
  now.subset_weights.clear();
  now.backend_weights.clear();
  return now;
}

Overridden<model::ServiceOverride> set_drained(const Snapshot& snapshot, const model::ObjectName& service,
                                               model::ServiceOverride now, const std::string& backend, bool drained) {
  if (!snapshot.services.find(service)) return no_service(service);
  const auto backends = Targets(snapshot, service).backends(backend);
  if (backends.empty()) {
    return refuse(Kind::kUnknown, fmt::format("{} has no backend {}", text_of(service), backend), "see cfcli lb list");
  }
  for (const auto& one : backends) {
    if (drained) {
      now.drained.insert(one);
    } else {
      now.drained.erase(one);
    }
  }
  return bounded(std::move(now));
}

std::vector<std::string> drop_gone(const Snapshot& snapshot, const model::ObjectName& service,
                                   model::ServiceOverride& override_now) {
  std::vector<std::string> said;
  const bool there = snapshot.services.find(service) != nullptr;
  const Targets targets(snapshot, service);
  const auto gone = [&](const std::string& what, const std::string& target) {
    said.push_back(fmt::format("{}: {} of {} is dropped: the manifests no longer have {}", text_of(service), what,
                               target, there ? "it" : "the service"));
  };
  std::erase_if(override_now.subset_weights, [&](const auto& item) {
    const bool drop = !there || !targets.subsets().contains(item.first);
    if (drop) gone(fmt::format("weight {}", item.second), item.first);
    return drop;
  });
  std::erase_if(override_now.backend_weights, [&](const auto& item) {
    const bool drop = !there || !targets.has(item.first);
    if (drop) gone(fmt::format("weight {}", item.second), text_of(item.first));
    return drop;
  });
  std::erase_if(override_now.drained, [&](const auto& backend) {
    const bool drop = !there || !targets.has(backend);
    if (drop) gone("drain", text_of(backend));
    return drop;
  });
  // Weights that would now leave nobody chosen say nothing any more.
  if (!check_subsets(targets, override_now)) {
    for (const auto& [name, weight] : override_now.subset_weights) gone(fmt::format("weight {}", weight), name);
    override_now.subset_weights.clear();
  }
  return said;
}

}  // namespace cortexflow::state
