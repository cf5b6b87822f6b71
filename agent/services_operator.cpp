// SPDX-License-Identifier: Apache-2.0
// What operators set of services, and ask.
#include <spdlog/spdlog.h>

#include "agent/service_explain.h"
#include "agent/services.h"
#include "agent/state/overrides.h"

namespace cortexflow {
namespace {

Result<model::ObjectName> object_name(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
    return fail("{}: expected NAMESPACE/NAME", text);
  }
  return model::ObjectName{text.substr(0, slash), text.substr(slash + 1)};
}

tl::unexpected<control::Refused> refused(int status, Error error) {
  return tl::make_unexpected(control::Refused{status, std::move(error)});
}

}  // namespace

// A file that can't be written keeps nobody from translating: the setting stays, and it is said.
void Services::drop_gone_override(const model::ObjectName& service, const state::Snapshot& snapshot) {
  const auto* set = overrides_.find(service);
  if (!set || may_lack(service)) return;
  auto left = *set;
  const auto gone = state::drop_gone(snapshot, service, left);
  if (gone.empty()) return;
  if (auto kept = overrides_.set(service, std::move(left)); !kept) {
    override_failure_ = fmt::format("what has gone of {}/{} stays among the operator's settings: {}", service.ns,
                                    service.name, kept.error().to_string());
    spdlog::error("services: {}", override_failure_);
    return;
  }
  override_failure_.clear();
  for (const auto& said : gone) {
    spdlog::warn("{}", said);
    dropped_.push_back(said);
    if (dropped_.size() > kDroppedKept) dropped_.pop_front();
  }
}

void Services::avoid_drained(const model::ObjectName& service) {
  std::map<compile::BackendPort, std::string> reasons;
  if (const auto* set = overrides_.find(service)) {
    for (const auto& backend : set->drained) {
      for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
        reasons[{backend.address, backend.port, protocol}] = "drained by the operator";
      }
    }
  }
  avoid(service, compile::AvoidedBy::kDrain, reasons);
}

std::size_t Services::overrides() const {
  const std::lock_guard lock(mutex_);
  return overrides_.size();
}

control::Done Services::set_weights(const std::string& service,
                                    const std::vector<std::pair<std::string, std::uint32_t>>& weights) {
  return change_override(service, [&](const model::ObjectName& name, const model::ServiceOverride& now) {
    return state::set_weights(*desired_.snapshot(), name, now, weights);
  });
}

control::Done Services::reset_weights(const std::string& service) {
  return change_override(service, [&](const model::ObjectName& name, const model::ServiceOverride& now) {
    return state::reset_weights(*desired_.snapshot(), name, now);
  });
}

control::Done Services::set_drained(const std::string& service, const std::string& backend, bool drained) {
  return change_override(service, [&](const model::ObjectName& name, const model::ServiceOverride& now) {
    return state::set_drained(*desired_.snapshot(), name, now, backend, drained);
  });
}

control::Done Services::change_override(const std::string& service, const OverrideChange& change) {
  const auto parsed = object_name(service);
  if (!parsed) return refused(400, parsed.error());
  const auto& name = *parsed;
  const std::lock_guard lock(mutex_);
  const auto* set = overrides_.find(name);
  auto changed = change(name, set ? *set : model::ServiceOverride{});
  if (!changed) {
    using Kind = state::OverrideRefusal::Kind;
    const auto kind = changed.error().kind;
    const int status = kind == Kind::kUnknown ? 404 : kind == Kind::kInvalid ? 400 : 507;
    return refused(status, std::move(changed.error().error));
  }
  if (!set && !changed->empty() && overrides_.size() >= state::kOverridesMax) {
    return tl::make_unexpected(
        control::Refused{507,
                         {fmt::format("{} services have settings of the operator, more are refused", overrides_.size()),
                          "take some back (cfcli lb reset, cfcli lb undrain)"}});
  }
  if (auto kept = overrides_.set(name, std::move(*changed)); !kept) {
    return refused(500, std::move(kept.error()));
  }
  std::vector<Error> errors;
  avoid_drained(name);
  plan({name}, errors);
  if (!errors.empty()) return refused(500, std::move(errors.front()));
  return {};
}

control::Answer<std::vector<control::SimulatedPort>> Services::simulate(const control::SimulationQuery& query) const {
  const auto name = object_name(query.service);
  if (!name) return refused(400, name.error());
  const auto snapshot = [this] {
    const std::lock_guard lock(mutex_);
    return desired_.snapshot();
  }();
  if (!snapshot->services.find(*name)) {
    return refused(404, {fmt::format("there is no service {}", query.service), "see cfcli service list"});
  }
  FoundCaller from;
  if (!query.from.empty()) {
    auto found = find_caller(query.from, *snapshot, cgroup_root_);
    if (!found) return refused(404, std::move(found.error()));
    from = std::move(*found);
  }
  const std::lock_guard lock(mutex_);
  return simulate_service({*snapshot, book_, *tables_, redirect_.get(), cgroup_root_}, *name,
                          query.from.empty() ? nullptr : &from, query.version, query.callers);
}

control::Answer<control::Explanation> Services::explain(const std::string& caller, const std::string& target) const {
  const auto snapshot = [this] {
    const std::lock_guard lock(mutex_);
    return desired_.snapshot();
  }();
  const auto found = find_caller(caller, *snapshot, cgroup_root_);
  if (!found) return refused(404, found.error());
  const std::lock_guard lock(mutex_);
  auto explained = cortexflow::explain({*snapshot, book_, *tables_, redirect_.get(), cgroup_root_}, *found, target);
  if (!explained) return refused(400, std::move(explained.error()));
  return std::move(*explained);
}

}  // namespace cortexflow
