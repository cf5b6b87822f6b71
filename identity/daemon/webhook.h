// SPDX-License-Identifier: Apache-2.0
// The admission webhook and the certificate that it is served with.
#pragma once

#include <memory>
#include <string>

#include "agent/sink/families.h"
#include "identity/daemon/settings.h"
#include "identity/daemon/webhook_server.h"
#include "identity/serving_certificate.h"

namespace cortexflow::identity {

class Webhook {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Webhook>> start(const Settings& settings,
                                                              std::shared_ptr<ServingCertificate> certificate);
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;
  ~Webhook() { server_.stop(); }

  // There is a certificate that holds.
  [[nodiscard]] bool ready() const { return certificate_->current() != nullptr; }
  // Empty: all is well.
  [[nodiscard]] std::string problem() const;
  void add_metrics(sink::Families& families) const;

 private:
  Webhook(const Settings& settings, std::shared_ptr<ServingCertificate> certificate);

  const std::shared_ptr<ServingCertificate> certificate_;
  WebhookServer server_;
};

}  // namespace cortexflow::identity
