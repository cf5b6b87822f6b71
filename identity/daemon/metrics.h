// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/collectable.h>

#include "identity/conditions/condition_writer.h"
#include "identity/daemon/https_server.h"
#include "identity/daemon/list_server.h"
#include "identity/daemon/webhook.h"
#include "identity/issuer.h"
#include "identity/server_certificate.h"
#include "identity/webhook/ca_bundle_keeper.h"
#include "identity/workload/workload_api.h"

namespace cortexflow::identity {

class Metrics : public prometheus::Collectable {
 public:
  // What of the API over HTTPS there is; all null or none.
  struct Https {
    const HttpsServer* server = nullptr;
    const ServerCertificate* certificate = nullptr;
    const source::TokenReviewer* reviewer = nullptr;
  };
  // What of the admission webhook there is; any may be null.
  struct Admission {
    const Webhook* webhook = nullptr;
    const CaBundleKeeper* keeper = nullptr;
  };
  // `lists` and `conditions` may be null.
  Metrics(const Issuer& issuer, const WorkloadApi& workload_api, const ListServer* lists, Https https,
          Admission admission, const ConditionWriter* conditions)
      : issuer_(issuer),
        workload_api_(workload_api),
        lists_(lists),
        https_(https),
        admission_(admission),
        conditions_(conditions) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Issuer& issuer_;
  const WorkloadApi& workload_api_;
  const ListServer* lists_;
  const Https https_;
  const Admission admission_;
  const ConditionWriter* conditions_;
};

}  // namespace cortexflow::identity
