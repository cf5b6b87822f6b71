// SPDX-License-Identifier: Apache-2.0
// The whole service of the certificate authority, in threads of its own: the API's sockets, the Workload API, the
// lists' distribution point, HTTPS.  cfidentity is this and nothing else; cfagent may have it inside.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "identity/conditions/condition_writer.h"
#include "identity/daemon/api.h"
#include "identity/daemon/authority_files.h"
#include "identity/daemon/https_server.h"
#include "identity/daemon/list_server.h"
#include "identity/daemon/metrics.h"
#include "identity/daemon/settings.h"
#include "identity/daemon/webhook.h"
#include "identity/server_certificate.h"
#include "identity/storage.h"
#include "identity/webhook/ca_bundle_keeper.h"
#include "identity/workload/workload_api.h"

namespace cortexflow::identity {

class Daemon {
 public:
  // Refused where a part of it can't begin.  `log` is told, from one thread, what fails later.
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(const Settings& settings, std::unique_ptr<Storage> storage,
                                                             const std::string& version,
                                                             std::function<void(const Error&)> log);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  // What may change while it runs: the mapping.  How many workloads it has then.
  [[nodiscard]] Result<std::size_t> reload(const std::string& path);
  void set_workloads(std::vector<WorkloadRule> workloads);

  [[nodiscard]] const prometheus::Collectable& metrics() const { return *metrics_; }
  [[nodiscard]] Issuer& issuer() { return *issuer_; }
  [[nodiscard]] const Issuer& issuer() const { return *issuer_; }
  // Empty: all is well.
  [[nodiscard]] std::string problem() const;
  // "issues for example.org; authority ..., 3 certificates standing; on ... and ..."
  [[nodiscard]] std::string words() const;

 private:
  Daemon(Settings settings, std::unique_ptr<Storage> storage)
      : settings_(std::move(settings)), storage_(std::move(storage)) {}
  [[nodiscard]] Result<void> start_parts(const std::string& version);
  [[nodiscard]] Result<void> start_https(const std::string& version);
  void tend();
  void tick();
  void look_at_files();
  [[nodiscard]] Result<void> start_webhook();
  [[nodiscard]] std::string webhook_problem() const;
  void look_at_webhook();
  [[nodiscard]] Result<void> start_conditions();
  void look_at_conditions();

  const Settings settings_;
  const std::unique_ptr<Storage> storage_;
  std::unique_ptr<Authorities> authorities_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Issuer> issuer_;
  std::unique_ptr<WorkloadApi> workload_api_;
  std::unique_ptr<ListServer> lists_;               // null: not asked for
  std::unique_ptr<ServerCertificate> certificate_;  // as https_
  std::unique_ptr<source::TokenReviewer> reviewer_;
  std::unique_ptr<HttpsServer> https_;
  std::unique_ptr<Webhook> webhook_;             // null: not asked for, or each replica's
  std::unique_ptr<CaBundleKeeper> keeper_;       // null: nobody's roots are kept
  std::unique_ptr<ConditionWriter> conditions_;  // null: its state is in no cluster
  std::optional<AuthorityFiles> files_;          // of an authority that is given
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Api> api_;
  std::function<void(const Error&)> log_;
  mutable std::mutex mutex_;  // stopping_, files_problem_
  std::condition_variable stop_;
  bool stopping_ = false;
  std::string webhook_logged_, conditions_logged_;  // what was wrong
  std::string files_problem_;                       // why the files, as they are now, are not used
  std::thread tends_;
};

}  // namespace cortexflow::identity
