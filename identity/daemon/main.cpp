// SPDX-License-Identifier: Apache-2.0
// cfidentity: settings, wiring, run, drain.
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>

#include "agent/sink/metrics_server.h"
#include "identity/daemon/daemon.h"
#include "identity/daemon/replica.h"
#include "identity/daemon/state_directory.h"

using namespace cortexflow;
using namespace cortexflow::identity;

namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

int complain(const Error& error, int status) {
  fmt::print(stderr, "cfidentity: {}\n", error.to_string());
  return status;
}

// What of it there is: the whole service, or one of its replicas in a cluster.
struct Service {
  std::function<Result<std::size_t>(const std::string& path)> reload;
  std::function<bool()> ready;
  const prometheus::Collectable* metrics = nullptr;
};

void reload(const std::string& path, const Service& service) {
  sd_notify(0, "RELOADING=1");
  if (const auto workloads = service.reload(path)) {
    spdlog::info("settings read again: {} workloads; other changes need a restart", *workloads);
  } else {
    spdlog::error("settings not changed: {}", workloads.error().to_string());
  }
  sd_notify(0, "READY=1");
}

// Until a signal ends it.
int serve(const std::string& config, const Settings& settings, const sigset_t& signals, const Service& service) {
  const auto [address, port] = split_listen(settings.metrics_listen);
  sink::MetricsServer metrics(address, port, {service.metrics}, service.ready);
  if (auto ok = metrics.start(); !ok) return complain(ok.error(), kExitFailure);
  sd_notify(0, "READY=1");
  int heard = 0;
  while (sigwait(&signals, &heard) != 0 || heard == SIGHUP) {
    if (heard == SIGHUP) reload(config, service);
  }
  sd_notify(0, "STOPPING=1");
  metrics.stop();
  return 0;
}

int run(const std::string& config, const Settings& settings) {
  // Blocked before any thread starts: only this one hears them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const auto log_error = [](const Error& error) { spdlog::error("{}", error.to_string()); };
  if (settings.cluster) {
    const auto replica = Replica::start(settings, CORTEXFLOW_VERSION,
                                        {[](const std::string& words) { spdlog::info("{}", words); }, log_error});
    if (!replica) return complain(replica.error(), kExitFailure);
    spdlog::info("cfidentity {} is replica {}", CORTEXFLOW_VERSION, settings.cluster->replica);
    return serve(config, settings, signals,
                 {[&](const std::string& path) { return (*replica)->reload(path); },
                  [&] { return (*replica)->ready(); }, replica->get()});
  }
  auto storage = StateDirectory::open(settings.state_dir);
  if (!storage) return complain(storage.error(), kExitFailure);
  const auto daemon = Daemon::start(settings, std::move(*storage), CORTEXFLOW_VERSION, log_error);
  if (!daemon) return complain(daemon.error(), kExitFailure);
  spdlog::info("cfidentity {} {}", CORTEXFLOW_VERSION, (*daemon)->words());
  return serve(
      config, settings, signals,
      {[&](const std::string& path) { return (*daemon)->reload(path); }, [] { return true; }, &(*daemon)->metrics()});
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app(
      "cfidentity issues X.509 SVIDs to the workloads of this machine, and to service accounts that show it their "
      "token.",
      "cfidentity");
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
