// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/daemon.h"

#include <sys/resource.h>

#include "agent/base/thread.h"
#include "agent/source/kubernetes/api_access.h"
#include "identity/certificates.h"
#include "identity/daemon/authority_files.h"

namespace cortexflow::identity {
namespace {

Time system_now() { return std::chrono::system_clock::now(); }

// The authority's key is in memory; and each workload's connection takes a descriptor.
void set_limits() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::start(const Settings& settings, std::unique_ptr<Storage> storage,
                                              const std::string& version, std::function<void(const Error&)> log) {
  set_limits();
  std::unique_ptr<Daemon> made(new Daemon(settings, std::move(storage)));
  made->log_ = std::move(log);
  if (auto started = made->start_parts(version); !started) return tl::make_unexpected(std::move(started.error()));
  return made;
}

Result<void> Daemon::start_parts(const std::string& version) {
  if (!settings_.authority.certificate.empty()) files_.emplace(settings_);  // first, so that no change is missed
  auto authorities = open_authorities(settings_, *storage_, system_now());
  if (!authorities) return tl::make_unexpected(std::move(authorities.error()));
  authorities_ = std::move(*authorities);
  auto ledger = storage_->open_ledger();
  if (!ledger) return tl::make_unexpected(std::move(ledger.error()));
  ledger_ = std::move(*ledger);
  const auto& lifetimes = settings_.certificates;
  issuer_ = std::make_unique<Issuer>(
      *authorities_, *ledger_,
      IssuerPolicy{settings_.trust_domain, lifetimes.lifetime, lifetimes.lifetime_max, settings_.crl_url}, system_now);
  if (auto recalled = issuer_->recall_roots(); !recalled) return recalled;
  issuer_->set_mapping(Mapping(settings_.workloads));
  workload_api_ = std::make_unique<WorkloadApi>(*issuer_, settings_.workload_api_socket);
  issuer_->set_listener([this](Issuer::Change what) {
    workload_api_->changed(what);
    if (keeper_ && what == Issuer::Change::kAuthorities) keeper_->changed();
  });
  if (!settings_.crl_listen.empty()) {
    const auto [address, port] = split_listen(settings_.crl_listen);
    lists_ = std::make_unique<ListServer>(*issuer_, address, port);
    if (auto ok = lists_->start(); !ok) return ok;
  }
  if (!settings_.listen.empty()) {
    if (auto ok = start_https(version); !ok) return ok;
  }
  if (auto ok = start_webhook(); !ok) return ok;
  if (auto ok = start_conditions(); !ok) return ok;
  metrics_ = std::make_unique<Metrics>(*issuer_, *workload_api_, lists_.get(),
                                       Metrics::Https{https_.get(), certificate_.get(), reviewer_.get()},
                                       Metrics::Admission{webhook_.get(), keeper_.get()}, conditions_.get());
  api_ = std::make_unique<Api>(*issuer_, settings_.control_socket, version);
  if (auto ok = api_->start(); !ok) return ok;
  if (auto ok = workload_api_->start(); !ok) return ok;
  auto tends = start_thread([this] { tend(); });
  if (!tends) return tl::make_unexpected(std::move(tends.error()));
  tends_ = std::move(*tends);
  return {};
}

Result<void> Daemon::start_https(const std::string& version) {
  auto access = source::read_api_access(settings_.token_review.kubeconfig);
  if (!access) return tl::make_unexpected(std::move(access.error()).wrap("identity.yaml: token_review.kubeconfig"));
  auto reviewer = source::TokenReviewer::start(std::move(*access), settings_.token_review.audience);
  if (!reviewer) return tl::make_unexpected(std::move(reviewer.error()));
  reviewer_ = std::move(*reviewer);
  auto id = SpiffeId::parse(fmt::format("spiffe://{}/cfidentity", settings_.trust_domain));
  if (!id) return tl::make_unexpected(std::move(id.error()));
  certificate_ = std::make_unique<ServerCertificate>(*issuer_, std::move(*id), settings_.listen_dns_names);
  auto [address, port] = split_listen(settings_.listen);
  https_ = std::make_unique<HttpsServer>(
      *issuer_, [this] { return certificate_->current(); }, *reviewer_,
      HttpsSettings{std::move(address), port, settings_.token_review.dns_names}, version);
  return https_->start();
}

Result<void> Daemon::start_webhook() {
  // Of replicas in a cluster all serve it, and the one that leads keeps the roots.
  if (!settings_.webhook.listen.empty() && !settings_.cluster) {
    auto id = SpiffeId::parse(fmt::format("spiffe://{}/cfidentity", settings_.trust_domain));
    if (!id) return tl::make_unexpected(std::move(id.error()));
    auto webhook = Webhook::start(
        settings_, std::make_shared<ServerCertificate>(*issuer_, std::move(*id), settings_.webhook.dns_names));
    if (!webhook) return tl::make_unexpected(std::move(webhook.error()));
    webhook_ = std::move(*webhook);
  }
  if (settings_.webhook.configuration.empty()) return {};
  auto access = source::read_api_access(settings_.webhook.kubeconfig);
  if (!access) return tl::make_unexpected(std::move(access.error()).wrap("identity.yaml: webhook.kubeconfig"));
  auto keeper = CaBundleKeeper::start(std::move(*access), settings_.webhook.configuration, [this] {
    std::string pem;
    for (const auto* root : issuer_->authorities()->roots()) pem += pem_of(root);
    return pem;
  });
  if (!keeper) return tl::make_unexpected(std::move(keeper.error()));
  keeper_ = std::move(*keeper);
  return {};
}

Result<void> Daemon::start_conditions() {
  if (!settings_.cluster) return {};
  auto access = source::read_api_access(settings_.cluster->kubeconfig);
  if (!access) return tl::make_unexpected(std::move(access.error()).wrap("identity.yaml: state.kubernetes.kubeconfig"));
  auto conditions = ConditionWriter::start(std::move(*access));
  if (!conditions) return tl::make_unexpected(std::move(conditions.error()));
  conditions_ = std::move(*conditions);
  return {};
}

Daemon::~Daemon() {
  if (tends_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    stop_.notify_all();
    tends_.join();
  }
  if (api_) api_->stop();
  conditions_.reset();
  keeper_.reset();
  webhook_.reset();
  if (https_) https_->stop();
  if (workload_api_) workload_api_->stop();
  if (lists_) lists_->stop();
}

void Daemon::tend() {
  constexpr int kLooksATick = 30;
  std::unique_lock lock(mutex_);
  for (int looks = 1; !stop_.wait_for(lock, AuthorityFiles::kEvery, [this] { return stopping_; }); ++looks) {
    lock.unlock();
    if (files_) look_at_files();
    look_at_webhook();
    look_at_conditions();
    if (looks % kLooksATick == 0) tick();
    lock.lock();
  }
}

// What has ended goes, what is about to end is made anew.
void Daemon::tick() {
  if (auto retired = issuer_->retire(); !retired) log_(retired.error());
  if (certificate_ && !certificate_->current()) {
    log_({"no certificate to serve HTTPS with: " + certificate_->figures().problem, {}});
  }
  if (webhook_) static_cast<void>(webhook_->ready());  // look_at_webhook() says what is wrong
}

void Daemon::look_at_files() {
  auto given = files_->changed(system_now());
  if (given && !*given) return;
  auto replaced = given ? issuer_->replace_authority(std::move((*given)->authority), std::move((*given)->extra_roots))
                        : Result<void>(tl::make_unexpected(std::move(given.error())));
  if (!replaced) {
    log_(Error(replaced.error()).wrap("the authority's files have changed and are not used; the one before goes on"));
  }
  const std::lock_guard lock(mutex_);
  files_problem_ = replaced ? std::string() : replaced.error().to_string();
}

std::string Daemon::webhook_problem() const {
  if (auto problem = webhook_ ? webhook_->problem() : std::string(); !problem.empty()) return problem;
  if (!keeper_) return {};
  for (const auto& configuration : keeper_->configurations()) {
    if (!configuration.problem.empty()) return "the webhook's roots are not kept current: " + configuration.problem;
  }
  return {};
}

void Daemon::look_at_webhook() {
  auto problem = webhook_problem();
  if (problem == webhook_logged_) return;
  if (!problem.empty()) log_({problem, {}});
  webhook_logged_ = std::move(problem);
}

// Nothing of what it serves depends on them.
void Daemon::look_at_conditions() {
  auto problem = conditions_ ? conditions_->status().problem : std::string();
  if (problem == conditions_logged_) return;
  if (!problem.empty()) log_({"conditions of policies: " + problem, {}});
  conditions_logged_ = std::move(problem);
}

std::string Daemon::problem() const {
  {
    const std::lock_guard lock(mutex_);
    if (!files_problem_.empty()) return "the authority's files are not used: " + files_problem_;
  }
  if (auto problem = webhook_problem(); !problem.empty()) return problem;
  if (!certificate_) return {};
  const auto figures = certificate_->figures();
  return figures.problem.empty() ? std::string() : "no certificate to serve HTTPS with: " + figures.problem;
}

Result<std::size_t> Daemon::reload(const std::string& path) {
  auto workloads = reread_workloads(path, settings_);
  if (!workloads) return tl::make_unexpected(std::move(workloads.error()));
  const auto count = workloads->size();
  set_workloads(std::move(*workloads));
  return count;
}

void Daemon::set_workloads(std::vector<WorkloadRule> workloads) { issuer_->set_mapping(Mapping(std::move(workloads))); }

std::string Daemon::words() const {
  return fmt::format("issues for {}; authority {}, {} certificates standing; on {} and {}{}{}", settings_.trust_domain,
                     issuer_->authorities()->active().id(), ledger_->size(), settings_.control_socket,
                     settings_.workload_api_socket, https_ ? ", HTTPS on " + settings_.listen : std::string(),
                     webhook_ ? ", webhook on " + settings_.webhook.listen : std::string());
}

}  // namespace cortexflow::identity
