// SPDX-License-Identifier: Apache-2.0
// The certificate authority inside the agent (identity.mode: embedded): all of cfidentity but its metrics' port.
#pragma once

#include <memory>

#include "agent/control/node_view.h"
#include "agent/source/settings.h"
#include "identity/daemon/daemon.h"

namespace cortexflow {

class EmbeddedIdentity {
 public:
  // Does nothing where the settings say off.
  [[nodiscard]] Result<void> start(const source::IdentitySettings& settings);
  // Reads its settings again; the result is for the log.
  void reload();

  [[nodiscard]] bool runs() const { return daemon_ != nullptr; }
  // While it runs.
  [[nodiscard]] const prometheus::Collectable& metrics() const { return daemon_->metrics(); }
  [[nodiscard]] control::FunctionStatus function() const;

 private:
  std::string config_;
  std::unique_ptr<identity::Daemon> daemon_;
};

}  // namespace cortexflow
