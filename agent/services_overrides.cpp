// SPDX-License-Identifier: Apache-2.0
// What operators set of services: on disk before it stands, and the disk keeps nobody but them waiting.
#include <spdlog/spdlog.h>

#include "agent/base/thread.h"
#include "agent/operator_request.h"
#include "agent/services.h"
#include "agent/state/overrides.h"

namespace cortexflow {
Services::~Services() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  overrides_dropped_.notify_all();
  if (override_writer_.joinable()) override_writer_.join();
}

Result<void> Services::start_override_writer() {
  auto thread = start_thread([this] { write_dropped_overrides(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  override_writer_ = std::move(*thread);
  return {};
}

// It does not stand any more from now on; the file follows.  Until it does, an agent that starts drops it again.
void Services::drop_gone_override(const model::ObjectName& service, const state::Snapshot& snapshot) {
  const auto* set = overrides_.find(service);
  if (!set || may_lack(service)) return;
  auto left = *set;
  const auto gone = state::drop_gone(snapshot, service, left);
  if (gone.empty()) return;
  overrides_.set(service, std::move(left));
  for (const auto& said : gone) {
    spdlog::warn("{}", said);
    dropped_.push_back(said);
    if (dropped_.size() > kDroppedKept) dropped_.pop_front();
  }
  overrides_unwritten_ = true;
  overrides_dropped_.notify_all();
}

void Services::write_dropped_overrides() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      overrides_dropped_.wait(lock, [this] { return ending_ || overrides_unwritten_; });
      if (!overrides_unwritten_) return;
    }
    const std::lock_guard one_at_a_time(writes_mutex_);
    const auto all = [this] {
      const std::lock_guard lock(mutex_);
      overrides_unwritten_ = false;
      return overrides_.all();
    }();
    const auto written = overrides_.write(all);
    const std::lock_guard lock(mutex_);
    override_failure_ = written
                            ? ""
                            : "what has gone of the operator's settings is still in the file, until one is changed: " +
                                  written.error().to_string();
    if (!written) spdlog::error("services: {}", override_failure_);
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
  const std::lock_guard one_at_a_time(writes_mutex_);
  std::unique_lock lock(mutex_);
  const auto* set = overrides_.find(name);
  auto changed = change(name, set ? *set : model::ServiceOverride{});
  if (!changed) {
    using Kind = state::OverrideRefusal::Kind;
    const auto kind = changed.error().kind;
    const int status = kind == Kind::kUnknown ? 404 : kind == Kind::kInvalid ? 400 : 507;
    return refused(status, std::move(changed.error().error));
  }
  if (!set && !changed->empty() && overrides_.size() >= state::kOverridesMax) {
    return refused(507, {fmt::format("{} services have settings of the operator, more are refused", overrides_.size()),
                         "take some back (cfcli lb reset, cfcli lb undrain)"});
  }
  const auto all = overrides_.with(name, *changed);
  if (all != overrides_.all() || !override_failure_.empty()) {
    lock.unlock();
    auto written = overrides_.write(all);
    lock.lock();
    if (!written) return refused(500, std::move(written.error()));
    override_failure_.clear();
    overrides_.set(name, std::move(*changed));
    drop_gone_override(name, *desired_.snapshot());  // that meanwhile
  }
  std::vector<Error> errors;
  avoid_drained(name);
  plan({name}, errors);
  if (!errors.empty()) return refused(500, std::move(errors.front()));
  return {};
}

}  // namespace cortexflow
