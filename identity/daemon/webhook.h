// SPDX-License-Identifier: Apache-2.0
// All of the admission webhook: its server, its certificate, and the roots in the configurations that name it.
#pragma once

#include <memory>
#include <string>

#include "agent/sink/families.h"
#include "identity/daemon/settings.h"
#include "identity/daemon/webhook_server.h"
#include "identity/server_certificate.h"
#include "identity/webhook/ca_bundle_keeper.h"

namespace cortexflow::identity {

class Webhook {
 public:
  // `issuer` has to outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Webhook>> start(const Settings& settings, Issuer& issuer);
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;
  ~Webhook() { server_.stop(); }

  // The roots may be others now.
  void roots_changed() {
    if (keeper_) keeper_->changed();
  }
  // Now and then: a certificate that is about to end is made anew.
  void tend() { static_cast<void>(certificate_.current()); }
  // Empty: all is well.
  [[nodiscard]] std::string problem() const;
  void add_metrics(sink::Families& families) const;
  // When its certificate ends; nothing: there is none.
  [[nodiscard]] std::optional<Time> certificate_end() const { return certificate_.figures().end; }

 private:
  Webhook(const Settings& settings, Issuer& issuer, SpiffeId id);

  ServerCertificate certificate_;
  WebhookServer server_;
  std::unique_ptr<CaBundleKeeper> keeper_;  // null: nobody's roots are kept
};

}  // namespace cortexflow::identity
