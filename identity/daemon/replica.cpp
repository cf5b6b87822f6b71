// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/replica.h"

#include <sys/random.h>

#include <array>
#include <ctime>
#include <iterator>

#include "agent/base/thread.h"
#include "agent/sink/families.h"
#include "agent/source/kubernetes/api_access.h"
#include "identity/cluster/api_secrets.h"
#include "identity/cluster/cluster_storage.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;

constexpr auto kAnnounceEach = 30s;  // again, whoever has changed it
constexpr auto kPause = 10s;         // after a term that could not begin: for the others to try

// "2026-01-02T15:04:05.000000Z", the MicroTime of Kubernetes.
std::string wall_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(now);
  const std::time_t seconds = whole.count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     std::chrono::duration_cast<std::chrono::microseconds>(now - whole).count());
}

Result<std::string> new_claim(const std::string& replica) {
  std::array<unsigned char, 16> drawn{};
  if (getrandom(drawn.data(), drawn.size(), 0) != static_cast<ssize_t>(drawn.size())) {
    return fail_errno("cannot draw a random number", errno);
  }
  std::string claim = replica + "/";
  for (const auto octet : drawn) claim += fmt::format("{:02x}", octet);
  return claim;
}

Endpoint::Ports ports_of(const Settings& settings) {
  Endpoint::Ports ports;
  if (!settings.listen.empty()) ports.emplace_back("https", split_listen(settings.listen).second);
  if (!settings.crl_listen.empty()) ports.emplace_back("crl", split_listen(settings.crl_listen).second);
  return ports;
}

}  // namespace

Result<std::unique_ptr<Replica>> Replica::start(Settings settings, std::string version, Log log) {
  auto access = source::read_api_access(settings.cluster->kubeconfig);
  if (!access) return tl::make_unexpected(std::move(access.error()).wrap("identity.yaml: state.kubernetes.kubeconfig"));
  auto calls = source::ApiCalls::start(std::move(*access));
  if (!calls) return tl::make_unexpected(std::move(calls.error()));
  std::unique_ptr<Replica> made(
      new Replica(std::move(settings), std::move(version), std::move(log), std::move(*calls)));
  if (auto webhook = made->start_webhook(); !webhook) return tl::make_unexpected(std::move(webhook.error()));
  auto thread = start_thread([raw = made.get()] { raw->run(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  made->thread_ = std::move(*thread);
  return made;
}

Replica::Replica(Settings settings, std::string version, Log log, std::unique_ptr<source::ApiCalls> calls)
    : settings_(std::move(settings)),
      version_(std::move(version)),
      log_(std::move(log)),
      calls_(std::move(calls)),
      secrets_(std::make_shared<ApiSecrets>(*calls_, settings_.cluster->name_space, settings_.cluster->name)),
      lease_(*calls_, settings_.cluster->name_space, settings_.cluster->name),
      election_(settings_.cluster->replica, {}) {
  const auto& cluster = *settings_.cluster;
  if (!cluster.service.empty()) {
    endpoint_.emplace(*calls_, cluster.name_space, cluster.service, cluster.address, ports_of(settings_));
  }
}

Result<void> Replica::start_webhook() {
  if (settings_.webhook.listen.empty()) return {};
  auto id = SpiffeId::parse(fmt::format("spiffe://{}/cfidentity", settings_.trust_domain));
  if (!id) return tl::make_unexpected(std::move(id.error()));
  certificate_ =
      std::make_shared<SharedCertificate>(secrets_, settings_.cluster->name + "-webhook", std::move(*id),
                                          settings_.webhook.dns_names, [] { return std::chrono::system_clock::now(); });
  auto webhook = Webhook::start(settings_, certificate_);
  if (!webhook) return tl::make_unexpected(std::move(webhook.error()));
  webhook_ = std::move(*webhook);
  return {};
}

void Replica::tend_webhook() {
  const auto now = SharedCertificate::Clock::now();
  if (daemon_ && !term_->over()) {
    certificate_->lead(daemon_->issuer(), term_->claim(), now);
  } else {
    certificate_->follow(now);
  }
  auto problem = webhook_->problem();
  if (problem != webhook_logged_ && !problem.empty()) log_.error({problem, {}});
  webhook_logged_ = std::move(problem);
}

Replica::~Replica() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Replica::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    step();
    lock.lock();
    wake_.wait_until(lock, election_.due(), [this] { return stopping_; });
  }
  lock.unlock();
  if (daemon_) end_term();
  if (endpoint_) endpoint_->withdraw();
  resign(0s);
}

void Replica::step() {
  follow_lease();
  if (daemon_ && !election_.leads()) {
    log_.error({fmt::format("{} leads now", election_.leader()), {}});
    end_term();
  }
  // Until the API server is heard again it stays as it is, so that callers hear why nothing is issued.
  if (daemon_ && term_->over()) {
    if (!over_) log_.error({"the ledger could not be written; nothing is issued until it is read again", {}});
    if (!over_) over_ = Election::Time::clock::now();
    if (election_.renewed() > over_) end_term();
  }
  if (!daemon_ && election_.leads()) begin_term();
  if (daemon_ && endpoint_ && Election::Time::clock::now() >= announce_at_) announce();
  if (webhook_) tend_webhook();
}

void Replica::follow_lease() {
  const auto request = election_.next(Election::Time::clock::now(), wall_time());
  if (!request) return;
  const auto sent = lease_.send(*request, election_);
  const auto problem = sent ? std::string() : sent.error().to_string();
  if (!sent && problem != lease_problem_) log_.error(Error(sent.error()).wrap("the Lease can't be read or renewed"));
  if (sent && !lease_problem_.empty()) log_.info("the Lease can be read again");
  lease_problem_ = problem;
  if (election_.leader() != leader_ && !election_.leads()) {
    log_.info(election_.leader().empty() ? "nobody leads" : fmt::format("stands by: {} leads", election_.leader()));
  }
  leader_ = election_.leader();
  const std::lock_guard lock(mutex_);
  figures_.heard = election_.heard().has_value();
  figures_.renewed = election_.leads() ? election_.renewed() : std::nullopt;
  figures_.transitions = election_.transitions();
  if (!sent) ++figures_.lease_failures;
}

void Replica::begin_term() {
  auto claim = new_claim(settings_.cluster->replica);
  if (claim) term_ = std::make_shared<Term>(std::move(*claim));
  const auto settings = current_settings();
  auto daemon = claim ? start_daemon(settings) : Result<std::unique_ptr<Daemon>>(tl::make_unexpected(claim.error()));
  over_.reset();
  announce_at_ = {};
  {
    const std::lock_guard lock(mutex_);
    figures_.problem = daemon ? std::string() : daemon.error().to_string();
    ++(daemon ? figures_.begun : figures_.not_begun);
    if (daemon) daemon_ = std::move(*daemon);
    if (daemon && settings_.workloads != settings.workloads) daemon_->set_workloads(settings_.workloads);
  }
  if (daemon) return log_.info("leads, and " + daemon_->words());
  log_.error(Error(daemon.error()).wrap("cannot lead"));
  resign(kPause);
}

Settings Replica::current_settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

Result<std::unique_ptr<Daemon>> Replica::start_daemon(const Settings& settings) const {
  return Daemon::start(settings, std::make_unique<ClusterStorage>(secrets_, term_, settings.cluster->name), version_,
                       log_.error);
}

void Replica::end_term() {
  std::unique_ptr<Daemon> ended;
  {
    const std::lock_guard lock(mutex_);
    ended = std::move(daemon_);
    if (!stopping_) ++figures_.lost;
  }
  ended.reset();  // answers what has begun
  term_->end();
}

void Replica::announce() {
  const auto announced = endpoint_->announce();
  if (announced) announce_at_ = Election::Time::clock::now() + kAnnounceEach;
  const auto problem = announced ? std::string() : announced.error().to_string();
  if (!announced && problem != endpoint_problem_) log_.error(announced.error());
  endpoint_problem_ = problem;
}

void Replica::resign(std::chrono::seconds pause) {
  const auto request = election_.release(Election::Time::clock::now() + pause, wall_time());
  if (!request) return;
  if (auto sent = lease_.send(*request, election_); !sent) log_.error(Error(sent.error()).wrap("the Lease is kept"));
}

Result<std::size_t> Replica::reload(const std::string& path) {
  auto workloads = reread_workloads(path, settings_);
  if (!workloads) return tl::make_unexpected(std::move(workloads.error()));
  const std::lock_guard lock(mutex_);
  settings_.workloads = std::move(*workloads);
  if (daemon_) daemon_->set_workloads(settings_.workloads);
  return settings_.workloads.size();
}

bool Replica::ready() const {
  const std::lock_guard lock(mutex_);
  return figures_.heard && figures_.problem.empty() && (!webhook_ || webhook_->ready());
}

std::vector<prometheus::MetricFamily> Replica::Collect() const {
  const std::lock_guard lock(mutex_);
  const bool issues = daemon_ && !term_->over();
  sink::Families families;
  families.gauge("cortexflow_identity_leader", "1 where this replica leads, and issues.").add(std::uint64_t{issues});
  families.counter("cortexflow_identity_lease_transitions_total", "How often the Lease has changed hands, as it says.")
      .add(static_cast<std::uint64_t>(figures_.transitions));
  families.counter("cortexflow_identity_lease_failures_total", "Times that it could not be read or renewed.")
      .add(figures_.lease_failures);
  families.counter("cortexflow_identity_terms_total", "Terms of leading of this replica, by what became of them.")
      .add(figures_.begun, {{"result", "begun"}})
      .add(figures_.not_begun, {{"result", "not_begun"}})
      .add(figures_.lost, {{"result", "lost"}});
  if (figures_.renewed) {
    const std::chrono::duration<double> age = Election::Time::clock::now() - *figures_.renewed;
    families.gauge("cortexflow_identity_lease_age_seconds", "How long ago the one that leads renewed it.")
        .add(age.count());
  }
  if (webhook_) webhook_->add_metrics(families);
  auto all = families.take();
  if (!daemon_) return all;
  auto more = daemon_->metrics().Collect();
  std::move(more.begin(), more.end(), std::back_inserter(all));
  return all;
}

}  // namespace cortexflow::identity
