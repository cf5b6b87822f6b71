// SPDX-License-Identifier: Apache-2.0
// cfidentity: settings, wiring, run, drain.
#include <fcntl.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "agent/base/fd.h"
#include "agent/sink/metrics_server.h"
#include "identity/certificates.h"
#include "identity/daemon/api.h"
#include "identity/daemon/list_server.h"
#include "identity/daemon/metrics.h"
#include "identity/daemon/settings.h"
#include "identity/small_file.h"
#include "identity/workload/workload_api.h"

using namespace cortexflow;
using namespace cortexflow::identity;

namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr timespec kTick{60, 0};  // between looks for what has ended

int complain(const Error& error, int status) {
  fmt::print(stderr, "cfidentity: {}\n", error.to_string());
  return status;
}

Time now() { return std::chrono::system_clock::now(); }

// One daemon a state directory: held as long as the process lives, whatever ends it.
Result<Fd> lock_state(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail_errno(fmt::format("cannot make {}", directory), error.value());
  Fd held(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!held || fchmod(held.get(), 0700) != 0) return fail_errno(fmt::format("cannot use {}", directory), errno);
  if (flock(held.get(), LOCK_EX | LOCK_NB) != 0) {
    return tl::make_unexpected(Error{fmt::format("another cfidentity is running: it holds {}", directory),
                                     "stop it first (systemctl stop cfidentity), or set another state_dir"});
  }
  return held;
}

Result<Secret> passphrase_of(const Settings& settings) {
  if (!settings.authority.passphrase_file.empty()) return read_passphrase(settings.authority.passphrase_file);
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");  // systemd's, for LoadCredential=
  const std::string credential = credentials == nullptr ? "" : fmt::format("{}/identity-passphrase", credentials);
  if (!credential.empty() && std::filesystem::exists(credential)) return read_passphrase(credential);
  return Secret();
}

Result<std::unique_ptr<Authorities>> given_authority(const Settings& settings, const Secret& passphrase) {
  const auto& files = settings.authority;
  const auto chain_text = read_small_file(files.certificate, Privacy::kAny);
  const auto key_text = read_small_file(files.key, Privacy::kOwner);
  if (!chain_text || !key_text) return tl::make_unexpected((chain_text ? key_text : chain_text).error());
  auto chain = read_certificates(chain_text->view());
  if (!chain) return tl::make_unexpected(std::move(chain.error()).wrap(files.certificate));
  auto key = read_private_key(key_text->view(), passphrase);
  if (!key) return tl::make_unexpected(std::move(key.error()).wrap(files.key));
  auto authority = Authority::load(std::move(*chain), std::move(*key), settings.trust_domain, now());
  if (!authority) return tl::make_unexpected(std::move(authority.error()).wrap(files.certificate));
  std::vector<Certificate> roots;
  if (!files.roots.empty()) {
    const auto text = read_small_file(files.roots, Privacy::kAny);
    auto read =
        text ? read_certificates(text->view()) : Result<std::vector<Certificate>>(tl::make_unexpected(text.error()));
    if (!read) return tl::make_unexpected(std::move(read.error()).wrap(files.roots));
    roots = std::move(*read);
  }
  return Authorities::given(std::move(*authority), std::move(roots));
}

Result<std::unique_ptr<Authorities>> open_authorities(const Settings& settings) {
  auto passphrase = passphrase_of(settings);
  if (!passphrase) return tl::make_unexpected(std::move(passphrase.error()));
  if (!settings.authority.certificate.empty()) return given_authority(settings, *passphrase);
  if (passphrase->empty()) {
    return tl::make_unexpected(Error{"there is no passphrase to seal the authority's key with",
                                     "set authority.passphrase_file (openssl rand -base64 32 makes one), or give the "
                                     "service the credential identity-passphrase"});
  }
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(settings.authority.lifetime);
  return Authorities::open_own(
      {settings.state_dir + "/authorities.json", settings.trust_domain, settings.authority.key_type, hours},
      std::move(*passphrase), now());
}

void reload(const std::string& path, Issuer& issuer) {
  sd_notify(0, "RELOADING=1");
  auto fresh = read_settings(path);
  if (fresh && fresh->trust_domain == issuer.policy().trust_domain) {
    issuer.set_mapping(Mapping(fresh->workloads));
    spdlog::info("settings read again: {} workloads; other changes need a restart", fresh->workloads.size());
  } else {
    spdlog::error("settings not changed: {}",
                  fresh ? "another trust domain needs a restart" : fresh.error().to_string());
  }
  sd_notify(0, "READY=1");
}

int run(const std::string& config, const Settings& settings) {
  // Blocked before any thread starts: only this one hears them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);  // the authority's key is in memory

  rlimit files{};  // a descriptor each workload's connection
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }

  const auto lock = lock_state(settings.state_dir);
  if (!lock) return complain(lock.error(), kExitFailure);
  const auto authorities = open_authorities(settings);
  if (!authorities) return complain(authorities.error(), kExitFailure);
  const auto ledger = Ledger::open(settings.state_dir + "/ledger");
  if (!ledger) return complain(ledger.error(), kExitFailure);
  Issuer issuer(
      **authorities, **ledger,
      {settings.trust_domain, settings.certificates.lifetime, settings.certificates.lifetime_max, settings.crl_url},
      now);
  issuer.set_mapping(Mapping(settings.workloads));
  WorkloadApi workload_api(issuer, settings.workload_api_socket);
  issuer.set_listener([&workload_api](Issuer::Change what) { workload_api.changed(what); });

  std::optional<ListServer> lists;
  if (!settings.crl_listen.empty()) {
    const auto [address, port] = split_listen(settings.crl_listen);
    lists.emplace(issuer, address, port);
    if (auto ok = lists->start(); !ok) return complain(ok.error(), kExitFailure);
  }
  const Metrics metrics(issuer, workload_api, lists ? &*lists : nullptr);
  const auto [metrics_address, metrics_port] = split_listen(settings.metrics_listen);
  sink::MetricsServer metrics_server(metrics_address, metrics_port, {&metrics}, [] { return true; });
  if (auto ok = metrics_server.start(); !ok) return complain(ok.error(), kExitFailure);
  Api api(issuer, settings.control_socket, CORTEXFLOW_VERSION);
  if (auto ok = api.start(); !ok) return complain(ok.error(), kExitFailure);
  if (auto ok = workload_api.start(); !ok) return complain(ok.error(), kExitFailure);
  spdlog::info("cfidentity {} issues for {}; authority {}, {} certificates standing; on {} and {}", CORTEXFLOW_VERSION,
               settings.trust_domain, issuer.authorities()->active().id(), (*ledger)->size(), settings.control_socket,
               settings.workload_api_socket);
  sd_notify(0, "READY=1");
  while (true) {
    const int heard = sigtimedwait(&signals, nullptr, &kTick);
    if (heard == SIGTERM || heard == SIGINT) break;
    if (heard == SIGHUP) reload(config, issuer);
    if (auto retired = issuer.retire(); !retired) spdlog::error("{}", retired.error().to_string());
  }
  sd_notify(0, "STOPPING=1");
  api.stop();
  workload_api.stop();
  if (lists) lists->stop();
  metrics_server.stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("cfidentity issues X.509 SVIDs to the workloads of this machine.", "cfidentity");
  std::string config = kDefaultSettingsFile;
  app.add_option("--config", config, "settings file")->capture_default_str();
  app.set_version_flag("--version", std::string("cfidentity ") + CORTEXFLOW_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  const auto settings = read_settings(config);
  if (!settings) return complain(settings.error(), kExitUsage);
  auto logger = spdlog::stderr_color_mt("cfidentity");
  logger->set_level(spdlog::level::from_str(settings->log_level));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_default_logger(std::move(logger));
  return run(config, *settings);
} catch (const std::exception& error) {
  std::fprintf(stderr, "cfidentity: unexpected failure: %s\n", error.what());
  return kExitFailure;
}
