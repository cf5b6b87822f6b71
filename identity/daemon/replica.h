// SPDX-License-Identifier: Apache-2.0
// One of several cfidentity that keep their state in a cluster: it stands for election, and is a Daemon as long as it
// leads.  The others have nothing of the authority's in memory, and listen nowhere but for metrics and the webhook.
#pragma once

#include <prometheus/collectable.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/source/kubernetes/api_calls.h"
#include "identity/cluster/election.h"
#include "identity/cluster/endpoint.h"
#include "identity/cluster/lease.h"
#include "identity/cluster/secret_store.h"
#include "identity/cluster/shared_certificate.h"
#include "identity/cluster/term.h"
#include "identity/daemon/daemon.h"

namespace cortexflow::identity {

class Replica : public prometheus::Collectable {
 public:
  // Told from several threads.
  struct Log {
    std::function<void(const std::string&)> info;
    std::function<void(const Error&)> error;
  };

  // `settings.cluster` is given.
  [[nodiscard]] static Result<std::unique_ptr<Replica>> start(Settings settings, std::string version, Log log);
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;
  // Gives the lease back, so that another one leads at once.
  ~Replica() override;

  // What may change while it runs: the mapping.  How many workloads it has then.
  [[nodiscard]] Result<std::size_t> reload(const std::string& path);
  // It leads, or could; and serves the webhook, where that is asked for.
  [[nodiscard]] bool ready() const;
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Replica(Settings settings, std::string version, Log log, std::unique_ptr<source::ApiCalls> calls);
  void run();
  void step();
  void follow_lease();
  void begin_term();
  [[nodiscard]] Result<std::unique_ptr<Daemon>> start_daemon(const Settings& settings) const;
  [[nodiscard]] Settings current_settings() const;
  void end_term();
  void announce();
  void resign(std::chrono::seconds pause);
  [[nodiscard]] Result<void> start_webhook();
  void tend_webhook();

  struct Figures {
    bool heard = false;
    std::optional<Election::Time> renewed;
    std::int64_t transitions = 0;
    std::uint64_t lease_failures = 0, begun = 0, not_begun = 0, lost = 0;
    std::string problem;  // why the latest term could not begin; empty: it could
  };

  Settings settings_;  // `workloads` under mutex_: of the next term too
  const std::string version_;
  const Log log_;
  const std::unique_ptr<source::ApiCalls> calls_;
  const std::shared_ptr<SecretStore> secrets_;
  const Lease lease_;

  // The thread's own.
  Election election_;
  std::optional<Endpoint> endpoint_;  // nothing: no service is given
  std::string leader_;                // as it was last told
  std::string lease_problem_, endpoint_problem_;
  Election::Time announce_at_;
  std::string webhook_logged_;          // what was wrong
  std::optional<Election::Time> over_;  // when the term was seen to be over

  // Leading or not; null: not asked for.
  std::shared_ptr<SharedCertificate> certificate_;
  std::unique_ptr<Webhook> webhook_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  Figures figures_;
  std::shared_ptr<Term> term_;
  std::unique_ptr<Daemon> daemon_;  // null: it does not lead
  std::thread thread_;
};

}  // namespace cortexflow::identity
