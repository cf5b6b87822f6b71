// SPDX-License-Identifier: Apache-2.0
// cfagent: settings, wiring, run, drain.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "agent/control/server.h"
#include "agent/embedded_identity.h"
#include "agent/json_message.h"
#include "agent/kernel/edge_tables.h"
#include "agent/kernel/host.h"
#include "agent/kernel/policy_tables.h"
#include "agent/kernel/redirect.h"
#include "agent/kernel/service_tables.h"
#include "agent/node.h"
#include "agent/removal.h"
#include "agent/revision.h"
#include "agent/sink/metrics_server.h"
#include "agent/source/settings.h"

using namespace cortexflow;

namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr std::size_t kLogLinesKept = 1000;
// A scrape's text stays with the arena of the thread that made it: a heap for each HTTP thread would be memory for
// nothing.
constexpr int kMallocArenas = 2;

using LogRing = spdlog::sinks::ringbuffer_sink_mt;

struct Flags {
  std::string config_file;
  bool dry_run = false;
  bool remove = false;
  bool close = false;
  std::map<std::string, std::vector<std::string>> values;  // by setting key
};

// "dns.metrics.names" -> "--dns-metrics-names"; the list of ports is given a port at a time.
std::string flag_name(const std::string& key) {
  if (key == "dns.ports") return "--dns-port";
  std::string name = "--" + key;
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '.' || c == '_'; }, '-');
  return name;
}

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("--config", flags.config_file,
                 fmt::format("settings file (default {}, if it is there)", source::kDefaultConfigFile))
      ->check([](const std::string& path) { return path.empty() ? "expected a path" : ""; });
  app.add_flag("--dry-run", flags.dry_run, "say what would be loaded, load nothing");
  app.add_flag("--remove", flags.remove, "take out of the kernel what an agent that is gone left there, and end")
      ->excludes("--dry-run");
  app.add_flag("--close", flags.close,
               "keep all network namespaces but this machine's own from the network until an agent has read its "
               "policies, and end: to be run at boot, before the network and containers")
      ->excludes("--dry-run")
      ->excludes("--remove");
  app.set_version_flag("--version", std::string("cfagent ") + CORTEXFLOW_VERSION);
  for (const auto& key : source::setting_keys()) {
    auto* option = app.add_option(flag_name(key), flags.values[key],
                                  fmt::format("{}; {} in the settings file, {} in the environment",
                                              source::expected_value(key), key, source::environment_name(key)));
    if (!source::takes_list(key)) option->expected(1);
  }
}

Result<source::Settings> read_settings(const Flags& flags) {
  source::Settings settings;
  if (!flags.config_file.empty() || access(source::kDefaultConfigFile, F_OK) == 0) {
    const auto& path = flags.config_file.empty() ? std::string(source::kDefaultConfigFile) : flags.config_file;
    if (auto done = source::read_file(path, settings); !done) return tl::make_unexpected(std::move(done.error()));
  }
  for (const auto& key : source::setting_keys()) {
    const auto& given = flags.values.at(key);
    if (given.empty()) continue;
    if (auto done = source::apply({key, fmt::format("{}", fmt::join(given, ",")), flag_name(key)}, settings); !done) {
      return tl::make_unexpected(std::move(done.error()));
    }
  }
  for (const auto& key : source::setting_keys()) {
    const auto name = source::environment_name(key);
    const char* value = std::getenv(name.c_str());
    if (!value) continue;
    if (auto done = source::apply({key, value, name}, settings); !done)
      return tl::make_unexpected(std::move(done.error()));
  }
  if (!settings.service_interfaces.empty() && !settings.follows_services()) {
    return tl::make_unexpected(
        Error{"services.interfaces is set, and there are no services", "set manifests or kubeconfig too"});
  }
  if (!settings.health_check_listen.empty() && !settings.follows_services()) {
    return tl::make_unexpected(
        Error{"services.health_check_listen is set, and there are no services", "set manifests or kubeconfig too"});
  }
  if (settings.proxy_health_listen && !settings.follows_services()) {
    return tl::make_unexpected(
        Error{"services.proxy_health_listen is set, and there are no services", "set manifests or kubeconfig too"});
  }
  if (!settings.edge.interfaces.empty() && !settings.follows_services()) {
    return tl::make_unexpected(
        Error{"edge.interfaces: there are no services for the edge without manifests or a kubeconfig",
              "set manifests or kubeconfig too"});
  }
  if (settings.node_name.empty()) {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    settings.node_name = name;
  }
  return settings;
}

void set_up_log(const source::Settings& settings, const std::shared_ptr<LogRing>& ring) {
  auto console = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("cfagent", spdlog::sinks_init_list{console, ring});
  logger->set_level(spdlog::level::from_str(settings.log_level));
  if (settings.log_format == "json") {
    auto line = std::make_unique<spdlog::pattern_formatter>();
    line->add_flag<JsonMessage>('*').set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%*})");
    logger->set_formatter(std::move(line));
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  }
  spdlog::set_default_logger(std::move(logger));
}

// One agent a pin path: held as long as the process lives, whatever ends it.
struct PinPathLock {
  std::string path;
  Fd directory;

  PinPathLock(std::string of, Fd locked) : path(std::move(of)), directory(std::move(locked)) {}
  PinPathLock(PinPathLock&&) = default;
  PinPathLock& operator=(PinPathLock&&) = delete;
  ~PinPathLock() {
    std::error_code ignored;
    if (directory) std::filesystem::remove(path, ignored);  // unless somebody else's pins are in it
  }
};

Result<PinPathLock> lock_pin_path(const std::string& pin_path) {
  Fd directory(open(pin_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(fmt::format("cannot open {}", pin_path), errno);
  if (flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    return tl::make_unexpected(Error{fmt::format("another agent is running: it holds {}", pin_path),
                                     "stop it first (systemctl stop cfagent), or give this one its own --pin-path, "
                                     "--state-dir, --control-socket and --metrics-listen"});
  }
  return PinPathLock(pin_path, std::move(directory));
}

int complain(const Error& error, int status) {
  fmt::print(stderr, "cfagent: {}\n", error.to_string());
  return status;
}

int dry_run(const source::Settings& settings) {
  if (auto ok = kernel::check_host(); !ok) return complain(ok.error(), kExitFailure);
  if (auto ok = kernel::check_pin_path(settings.pin_path); !ok) return complain(ok.error(), kExitFailure);
  const auto root = kernel::find_cgroup_root(settings.cgroup_root);
  if (!root) return complain(root.error(), kExitFailure);
  if (auto ok = kernel::DnsTracer::try_load(); !ok) return complain(ok.error(), kExitFailure);
  fmt::print("kernel {}: takes the DNS programs\n", kernel::kernel_release());
  fmt::print("would attach dns_egress and dns_ingress (cgroup_skb) to {}\n", *root);
  if (auto ok = kernel::FlowTracer::try_load(); ok) {
    fmt::print("takes the flow program; would attach flow_tcp (sock_ops) to {}\n", *root);
  } else {
    fmt::print("{}: would go on without flows\n", ok.error().to_string());
  }
  fmt::print("would name processes by kprobes, or by cgroup connect and sendmsg hooks where kprobes are refused\n");
  fmt::print("would watch DNS ports {}, time limit {} ms\n", fmt::join(settings.dns_ports, ", "),
             settings.dns_timeout.count());
  if (settings.follows_services()) {
    if (auto ok = kernel::ServiceTables::try_load(); !ok) return complain(ok.error(), kExitFailure);
    fmt::print("takes the service programs; would attach them to {}\n", *root);
    if (auto ok = kernel::PolicyTables::try_load(); !ok) return complain(ok.error(), kExitFailure);
    fmt::print(
        "takes the policy programs; would attach them to {} once there is an AuthorizationPolicy or a NetworkPolicy\n",
        *root);
    if (!settings.manifests.empty()) {
      fmt::print("would follow the manifests in {}\n", fmt::join(settings.manifests, ", "));
    }
    if (!settings.kubeconfig.empty()) {
      const auto access = source::read_api_access(settings.kubeconfig);
      if (!access) return complain(access.error(), kExitFailure);
      const auto& servers = settings.kubernetes_servers.empty() ? access->servers : settings.kubernetes_servers;
      fmt::print("would follow the API server {}\n", fmt::join(servers, ", "));
    }
    if (!settings.service_interfaces.empty()) {
      if (auto ok = kernel::Redirect::try_load(); !ok) return complain(ok.error(), kExitFailure);
      fmt::print("takes the redirect programs; would attach them to the interfaces {}\n",
                 fmt::join(settings.service_interfaces, ", "));
    }
  }
  if (!settings.edge.interfaces.empty()) {
    if (auto ok = kernel::EdgeTables::try_load(); !ok) return complain(ok.error(), kExitFailure);
    fmt::print("takes the edge's program; would attach it to {} ({})\n", fmt::join(settings.edge.interfaces, ", "),
               settings.edge.mode);
  }
  if (!settings.health_check_listen.empty()) {
    fmt::print("would answer load balancers on services' health check node ports on {}\n",
               settings.health_check_listen);
  }
  if (settings.proxy_health_listen) {
    fmt::print("would answer /healthz in kube-proxy's place on {}, port {}\n", settings.proxy_health_listen->address,
               settings.proxy_health_listen->port);
  }
  if (settings.identity.embedded) {
    const auto own = identity::read_settings(settings.identity.config);
    if (!own) return complain(own.error(), kExitFailure);
    fmt::print("would be the certificate authority of {}, with its state in {}\n", own->trust_domain, own->state_dir);
  }
  fmt::print("would pin below {}, listen on {} and {}\n", settings.pin_path, settings.control_socket,
             settings.metrics_listen);
  return 0;
}

int remove(const source::Settings& settings) {
  if (auto ok = kernel::check_pin_path(settings.pin_path); !ok) return complain(ok.error(), kExitFailure);
  if (access(settings.pin_path.c_str(), F_OK) != 0) {
    fmt::print("nothing is left in {}\n", settings.pin_path);
    return 0;
  }
  const auto lock = lock_pin_path(settings.pin_path);
  if (!lock) return complain(lock.error(), kExitFailure);
  const auto others = remove_left(settings.pin_path);
  if (!others) return complain(others.error(), kExitFailure);
  if (others->empty()) {
    fmt::print("removed {} and what was attached by it\n", settings.pin_path);
  } else {
    fmt::print("removed the agent's pins in {} and what was attached by them; left what is not the agent's: {}\n",
               settings.pin_path, fmt::join(*others, ", "));
  }
  return 0;
}

int close_until_policies(const source::Settings& settings) {
  if (auto ok = kernel::check_host(); !ok) return complain(ok.error(), kExitFailure);
  if (auto ok = kernel::prepare_pin_path(settings.pin_path); !ok) return complain(ok.error(), kExitFailure);
  const auto root = kernel::find_cgroup_root(settings.cgroup_root);
  if (!root) return complain(root.error(), kExitFailure);
  const auto lock = lock_pin_path(settings.pin_path);
  if (!lock) return complain(lock.error(), kExitFailure);
  const auto closed = kernel::PolicyTables::close({*root, settings.pin_path, false});
  if (!closed) return complain(closed.error(), kExitFailure);
  fmt::print("{}\n", *closed ? "closed: network namespaces but this machine's own reach nobody until an agent has read "
                               "its policies"
                             : "an agent's policies, or an earlier --close, are in force already: nothing was changed");
  return 0;
}

int run(const Flags& flags, const source::Settings& settings, const std::shared_ptr<LogRing>& log_ring) {
  // Blocked before any thread starts: only the event loop hears them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  if (auto ok = kernel::check_host(); !ok) return complain(ok.error(), kExitFailure);
  if (auto ok = kernel::prepare_pin_path(settings.pin_path); !ok) return complain(ok.error(), kExitFailure);
  auto lock = lock_pin_path(settings.pin_path);
  if (!lock) return complain(lock.error(), kExitFailure);

  // Before anything is in the kernel: a bad identity.yaml leaves all as it is.
  EmbeddedIdentity identity;
  if (auto ok = identity.start(settings.identity); !ok) return complain(ok.error(), kExitFailure);

  prometheus::Registry registry;
  Node node(settings, registry, [log_ring](std::size_t max) { return log_ring->last_formatted(max); });
  if (identity.runs()) node.set_identity([&identity] { return identity.function(); });
  if (auto ok = node.open(); !ok) return complain(ok.error(), kExitFailure);
  const sink::AgentMetrics agent_metrics([&node] { return node.figures(); }, CORTEXFLOW_VERSION, kRevision);
  const sink::ServiceMetrics service_metrics(
      registry, [&node] { return node.service_figures(); }, connect_latency_bounds());
  const sink::KubernetesMetrics kubernetes_metrics([&node] { return node.kubernetes_figures(); });

  std::vector<const prometheus::Collectable*> collectables{&registry, &agent_metrics, &service_metrics,
                                                           &kubernetes_metrics};
  if (identity.runs()) collectables.push_back(&identity.metrics());

  const auto colon = settings.metrics_listen.rfind(':');
  std::string address = settings.metrics_listen.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  sink::MetricsServer metrics(address,
                              static_cast<std::uint16_t>(std::stoul(settings.metrics_listen.substr(colon + 1))),
                              std::move(collectables), [&node] {
                                const auto kubernetes = node.kubernetes_figures();
                                return !node.draining() && (!kubernetes || kubernetes->synced);
                              });
  if (auto ok = metrics.start(); !ok) return complain(ok.error(), kExitFailure);
  control::Server control(node, node, settings.control_socket, "cortexflow", &node, node.policies());
  if (auto ok = control.start(); !ok) return complain(ok.error(), kExitFailure);

  for (const auto& function : node.status().functions) {
    spdlog::info("{}: {}{}", function.name, function.hook.empty() ? "none" : function.hook,
                 function.detail.empty() ? "" : " (" + function.detail + ")");
  }
  spdlog::info("cfagent {} watches DNS on {}; metrics on {}:{}, control on {}", CORTEXFLOW_VERSION, settings.node_name,
               settings.metrics_listen.substr(0, colon), metrics.port(), settings.control_socket);
  sd_notify(0, "READY=1");
  auto ran = node.run(signals, [&] {
    sd_notify(0, "RELOADING=1");
    auto fresh = read_settings(flags);
    auto applied = fresh ? node.apply(*fresh) : Result<void>(tl::make_unexpected(fresh.error()));
    if (applied) {
      spdlog::set_level(spdlog::level::from_str(fresh->log_level));
      spdlog::info("settings read again: DNS ports {}, time limit {} ms, log level {}; other changes need a restart",
                   fmt::join(fresh->dns_ports, ", "), fresh->dns_timeout.count(), fresh->log_level);
    } else {
      spdlog::error("settings not changed: {}", applied.error().to_string());
    }
    identity.reload();
    sd_notify(0, "READY=1");
  });
  sd_notify(0, "STOPPING=1");
  node.drain();
  control.stop();
  metrics.stop();
  const auto figures = node.figures();
  std::uint64_t lost = 0;
  for (const auto& [cause, n] : figures.lost) lost += n;
  spdlog::info("stopped: of lookups {} records emitted, {} delivered, {} lost", figures.emitted, figures.delivered,
               lost);
  return ran ? 0 : complain(ran.error(), kExitFailure);
}

}  // namespace

int main(int argc, char** argv) try {
  mallopt(M_ARENA_MAX, kMallocArenas);
  CLI::App app(
      "cfagent observes lookups and connections on the machine it runs on, and carries out what manifests or a cluster "
      "say of services and policy.");
  Flags flags;
  add_flags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  auto settings = read_settings(flags);
  if (!settings) return complain(settings.error(), kExitUsage);
  kernel::show_libbpf_messages(settings->log_level == "debug");
  if (flags.dry_run) return dry_run(*settings);
  if (flags.remove) return remove(*settings);
  if (flags.close) return close_until_policies(*settings);
  auto log_ring = std::make_shared<LogRing>(kLogLinesKept);
  set_up_log(*settings, log_ring);
  return run(flags, *settings, log_ring);
} catch (const std::exception& error) {
  // Caught so that destructors run and pins go.
  std::fprintf(stderr, "cfagent: unexpected failure: %s\n", error.what());
  return kExitFailure;
}
