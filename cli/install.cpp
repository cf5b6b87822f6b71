// SPDX-License-Identifier: Apache-2.0
// install, update and uninstall: the chart of this cfcli, by helm.
#include <functional>

#include "cli/cluster/helm.h"
#include "cli/cluster/leftovers.h"
#include "cli/cluster/preflight.h"
#include "cli/cluster/shown_manifests.h"
#include "cli/cluster_status.h"
#include "cli/interrupt.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kCollected{30};  // after an uninstall, by the cluster's garbage collector

struct Installation {
  std::string release, space;  // empty: the default, or the one there is
  ChartValues values;
  bool dry_run = false, crds = false, no_preflight = false;
  int timeout = 300;  // seconds
};

const char* word_of(Finding finding) {
  switch (finding) {
    case Finding::kGood:
      return "ok";
    case Finding::kWarning:
      return "warning";
    case Finding::kBad:
      return "FAILED";
    case Finding::kUnknown:
      break;
  }
  return "unknown";
}

// Says each on standard error, as it is known.
class Report {
 public:
  void add(const Check& check) {
    fmt::print(stderr, "{:<8} {}: {}\n", word_of(check.finding), printable(check.name), printable(check.detail));
    if (check.finding == Finding::kBad) ++bad_;
  }
  [[nodiscard]] Result<void> verdict() const {
    if (bad_ == 0) return {};
    return tl::make_unexpected(Error{fmt::format("{} checks failed, nothing was changed", bad_),
                                     "mend what they say, or leave them out with --no-preflight"});
  }

 private:
  int bad_ = 0;
};

Result<void> wait_until_ready(Cluster& cluster, const Installation& given) {
  const auto path = fmt::format("/apis/apps/v1/namespaces/{}/daemonsets/{}", given.space, chart_name(given.release));
  const auto end = Clock::now() + std::chrono::seconds(given.timeout);
  std::string said;
  catch_interrupts();
  while (true) {
    const auto set = cluster.server().get(path);
    if (!set) return tl::make_unexpected(set.error().error);
    const auto number = [&](const char* at) {
      const Json::json_pointer pointer(at);
      return set->contains(pointer) && set->at(pointer).is_number() ? set->at(pointer).get<std::int64_t>() : 0;
    };
    const auto wanted = number("/status/desiredNumberScheduled");
    const auto ready = std::min(number("/status/numberReady"), number("/status/updatedNumberScheduled"));
    const bool seen = number("/status/observedGeneration") >= number("/metadata/generation");
    const auto now =
        seen ? fmt::format("{} of {} agents are ready", ready, wanted) : std::string("waiting for the DaemonSet");
    if (now != said) fmt::print(stderr, "{}\n", now);
    said = now;
    if (seen && ready >= wanted) return {};
    if (interrupted() || Clock::now() > end) {
      return tl::make_unexpected(
          Error{fmt::format("{}{}", now, interrupted() ? "" : fmt::format(" after {} s", given.timeout)),
                fmt::format("cfcli status says why; kubectl -n {} describe pods", given.space)});
    }
    wait_for_interrupt(std::chrono::milliseconds(500));
  }
}

Result<void> ready_and_shown(const Context& context, Cluster& cluster, const Installation& given) {
  if (auto ready = wait_until_ready(cluster, given); !ready) return ready;
  cluster.look_in(given.space);
  return show_cluster_status(context);
}

Result<void> install(const Context& context, Installation given) {
  const auto environment = context.environment();
  if (!environment) return tl::make_unexpected(environment.error());
  if (given.release.empty()) given.release = "cortexflow";
  if (given.space.empty()) given.space = environment->mesh_namespace;
  if (given.space.empty()) given.space = kMeshNamespace;
  const auto cluster = context.cluster();
  if (!cluster) return tl::make_unexpected(cluster.error());
  auto& server = (*cluster)->server();
  const auto reached = check_server(server);
  if (reached.finding == Finding::kBad) return fail("{}", reached.detail);
  const auto helm = Helm::open(*environment);
  if (!helm) return tl::make_unexpected(helm.error());
  fmt::print(stderr, "chart {} by helm {}, release {} in namespace {}\n", CORTEXFLOW_VERSION, helm->version(),
             given.release, given.space);
  const auto capabilities = capabilities_of(server);
  if (!capabilities) return tl::make_unexpected(capabilities.error().error);
  const auto manifests = helm->render(given.release, given.space, given.values, *capabilities);
  if (!manifests) return tl::make_unexpected(manifests.error());
  Report report;
  if (!given.no_preflight) {
    report.add(reached);
    report.add(check_rights(server, *manifests, given.space));
    report.add(check_releases(server));
    report.add(check_other_meshes(server));
    report.add(check_kube_proxy(server, *manifests));
    report.add(check_nodes(server));
  }
  if (given.dry_run) {
    fmt::print("{}", shown_manifests(*manifests));
    return report.verdict();
  }
  if (auto good = report.verdict(); !good) return good;
  if (auto done = helm->install(given.release, given.space, given.values); !done) return done;
  return ready_and_shown(context, **cluster, given);
}

// The release that is meant: the one there is, or the one that is named.
Result<Release> release_of(ApiServer& server, const Installation& given) {
  const auto all = releases(server);
  if (!all) return tl::make_unexpected(all.error().error);
  std::vector<Release> found;
  std::string names;
  for (const auto& one : *all) {
    names += fmt::format("{}{} in {}", names.empty() ? "" : ", ", one.name, one.space);
    const bool is_it =
        (given.release.empty() || one.name == given.release) && (given.space.empty() || one.space == given.space);
    if (is_it) found.push_back(one);
  }
  if (found.size() == 1) return found.front();
  if (all->empty())
    return tl::make_unexpected(Error{"no release of the chart is in the cluster", "cfcli install makes one"});
  return tl::make_unexpected(Error{found.empty() ? "there is no such release" : "there are several releases",
                                   fmt::format("name one with --release and --namespace: {}", names)});
}

int major_of(const std::string& version) { return std::atoi(version.c_str()); }

Result<void> update(const Context& context, Installation given) {
  const auto environment = context.environment();
  if (!environment) return tl::make_unexpected(environment.error());
  const auto cluster = context.cluster();
  if (!cluster) return tl::make_unexpected(cluster.error());
  const auto release = release_of((*cluster)->server(), given);
  if (!release) return tl::make_unexpected(release.error());
  given.release = release->name;
  given.space = release->space;
  if (major_of(CORTEXFLOW_VERSION) < major_of(release->version())) {
    return tl::make_unexpected(
        Error{fmt::format("{} is of version {}, this cfcli brings {}: a lower major version may not know its tables",
                          release->name, release->version(), CORTEXFLOW_VERSION),
              "use a cfcli of its version, or uninstall it first"});
  }
  const auto helm = Helm::open(*environment);
  if (!helm) return tl::make_unexpected(helm.error());
  fmt::print(stderr, "release {} in namespace {}: {} -> {} by helm {}\n", release->name, release->space,
             release->version(), CORTEXFLOW_VERSION, helm->version());
  if (given.dry_run) {
    const auto capabilities = capabilities_of((*cluster)->server());
    if (!capabilities) return tl::make_unexpected(capabilities.error().error);
    const auto manifests = helm->render_upgrade(given.release, given.space, given.values, *capabilities);
    if (!manifests) return tl::make_unexpected(manifests.error());
    fmt::print("{}", shown_manifests(*manifests));
    return {};
  }
  if (auto done = helm->upgrade(given.release, given.space, given.values); !done) return done;
  return ready_and_shown(context, **cluster, given);
}

Result<void> uninstall(const Context& context, const Installation& given) {
  const auto environment = context.environment();
  if (!environment) return tl::make_unexpected(environment.error());
  const auto cluster = context.cluster();
  if (!cluster) return tl::make_unexpected(cluster.error());
  auto& server = (*cluster)->server();
  const auto release = release_of(server, given);
  if (!release) return tl::make_unexpected(release.error());
  const auto helm = Helm::open(*environment);
  if (!helm) return tl::make_unexpected(helm.error());
  fmt::print(stderr, "uninstalling {} in namespace {}; waiting until every node is clean\n", release->name,
             release->space);
  if (auto done = helm->uninstall(release->name, release->space, std::chrono::seconds(given.timeout)); !done)
    return done;
  if (given.crds) {
    if (auto done = remove_crds(server); !done) return done;
  }
  // What belongs to something that is gone goes a little later.
  const auto end = Clock::now() + kCollected;
  auto left = leftovers(server, *release);
  while (!left.stray.empty() && Clock::now() < end) {
    wait_for_interrupt(std::chrono::milliseconds(500));
    left = leftovers(server, *release);
  }
  for (const auto& one : left.kept) fmt::print("kept: {}\n", printable(one));
  if (left.stray.empty()) {
    fmt::print("nothing else of {} is left in the cluster\n", release->name);
    return {};
  }
  return tl::make_unexpected(
      Error{fmt::format("left behind: {}", fmt::join(left.stray, ", ")), "kubectl delete removes them"});
}

void add_values(CLI::App& command, Installation& given) {
  command.add_option("--set", given.values.set, "a value of the chart: key=value")->allow_extra_args(false);
  command.add_option("--values", given.values.files, "a file of values of the chart")->allow_extra_args(false);
  command.add_flag("--dry-run", given.dry_run, "print what helm would send, without Secrets' data; change nothing");
}

using Verb = std::function<Result<void>(const Context&, const Installation&)>;

CLI::App* add_verb(CLI::App& app, Context& context, const char* name, const char* help,
                   const std::shared_ptr<Installation>& given, const Verb& verb) {
  auto* command = app.add_subcommand(name, help);
  command->add_option("--release", given->release, "helm's name for it");
  command->add_option("--namespace", given->space, "where it is");
  command->add_option("--timeout", given->timeout, "seconds to wait until the nodes are there")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  command->callback(
      [&context, given, verb] { context.run = [&context, given, verb] { return verb(context, *given); }; });
  return command;
}

}  // namespace

void add_install(CLI::App& app, Context& context) {
  const auto given = std::make_shared<Installation>();
  auto* one = add_verb(app, context, "install", "put the mesh into a cluster, with the chart of this cfcli, by helm",
                       given, install);
  add_values(*one, *given);
  one->add_flag("--no-preflight", given->no_preflight, "install whatever the checks would say");
  add_values(*add_verb(app, context, "update", "bring a release to this cfcli's version", given, update), *given);
  add_verb(app, context, "uninstall", "take the mesh out of a cluster, and every node's kernel", given, uninstall)
      ->add_flag("--crds", given->crds, "the CRDs too, with all policies");
}

}  // namespace cortexflow::cli
