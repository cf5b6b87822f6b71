// SPDX-License-Identifier: Apache-2.0
#include "agent/embedded_identity.h"

#include <spdlog/spdlog.h>

#include "identity/daemon/state_directory.h"

namespace cortexflow {

Result<void> EmbeddedIdentity::start(const source::IdentitySettings& settings) {
  if (!settings.embedded) return {};
  config_ = settings.config;
  const auto own = identity::read_settings(config_);
  if (!own) {
    auto error = Error(own.error()).wrap("identity.mode is embedded");
    if (!error.next_step.empty()) error.next_step = "check identity.config; see examples/identity.yaml";
    return tl::make_unexpected(std::move(error));
  }
  if (own->cluster) {
    return tl::make_unexpected(Error{"identity.mode is embedded: its state is kept on disk",
                                     "set state_dir instead of state in identity.config, or run cfidentity"});
  }
  auto storage = identity::StateDirectory::open(own->state_dir);
  if (!storage) return tl::make_unexpected(std::move(storage.error()).wrap("identity"));
  auto daemon = identity::Daemon::start(*own, std::move(*storage), CORTEXFLOW_VERSION,
                                        [](const Error& error) { spdlog::error("identity: {}", error.to_string()); });
  if (!daemon) return tl::make_unexpected(std::move(daemon.error()).wrap("identity"));
  daemon_ = std::move(*daemon);
  return {};
}

void EmbeddedIdentity::reload() {
  if (!daemon_) return;
  if (const auto workloads = daemon_->reload(config_)) {
    spdlog::info("identity: settings read again: {} workloads; other changes need a restart", *workloads);
  } else {
    spdlog::error("identity: settings not changed: {}", workloads.error().to_string());
  }
}

control::FunctionStatus EmbeddedIdentity::function() const {
  const auto problem = daemon_->problem();
  return {"identity", "embedded", !problem.empty(), problem.empty() ? daemon_->words() : problem};
}

}  // namespace cortexflow
