// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/helm.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "agent/base/replace_file.h"
#include "agent/source/kubernetes/child.h"

namespace cortexflow::cli {
namespace {

constexpr std::chrono::seconds kShort{30}, kLong{600};
constexpr std::size_t kPrintedMax = 16 << 20;  // octets

}  // namespace

std::string chart_name(const std::string& release) {
  constexpr std::size_t kMax = 50;
  auto out = release.substr(0, kMax);
  if (out.ends_with('-')) out.pop_back();
  return out;
}

Result<Helm> Helm::open(const Environment& environment) {
  Helm out;
  for (const auto& file : environment.kubeconfig) out.kubeconfig_ += (out.kubeconfig_.empty() ? "" : ":") + file;
  out.context_ = environment.context;
  const std::string next =
      "install helm 3 (https://helm.sh/docs/intro/install); cfcli brings the chart, helm installs it";
  auto version = source::child_output({"helm", "version", "--short"}, {}, kShort, kPrintedMax);
  if (!version) return tl::make_unexpected(Error{"helm " + version.error().message, next});
  out.version_ = version->substr(0, version->find_first_of("+ \n"));
  if (!out.version_.starts_with('v') || out.version_.starts_with("v2")) {
    return tl::make_unexpected(Error{fmt::format("helm calls itself {}", out.version_), next});
  }
  const char* temporary = std::getenv("TMPDIR");
  std::string pattern =
      std::string(temporary != nullptr && *temporary != 0 ? temporary : "/tmp") + "/cfcli-chart-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return fail_errno(fmt::format("cannot make {}", pattern), errno);
  out.directory_ = pattern;
  if (auto written = replace_file(out.directory_ + "/cortexflow.tgz", embedded_chart()); !written) {
    return tl::make_unexpected(std::move(written.error()));
  }
  return out;
}

Helm::Helm(Helm&& other) noexcept
    : version_(std::move(other.version_)),
      directory_(std::exchange(other.directory_, {})),
      kubeconfig_(std::move(other.kubeconfig_)),
      context_(std::move(other.context_)) {}

Helm::~Helm() {
  std::error_code error;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, error);
}

Result<std::string> Helm::run(std::vector<std::string> arguments, std::chrono::seconds time_max) const {
  std::vector<std::string> command{"helm"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  if (!context_.empty()) command.insert(command.end(), {"--kube-context", context_});
  std::vector<std::pair<std::string, std::string>> environment;
  if (!kubeconfig_.empty()) environment.emplace_back("KUBECONFIG", kubeconfig_);
  auto printed = source::child_output(command, environment, time_max, kPrintedMax);
  if (printed) return printed;
  return tl::make_unexpected(std::move(printed.error()).wrap("helm " + arguments.front()));
}

std::vector<std::string> Helm::with_chart(std::vector<std::string> verb, const std::string& space,
                                          const ChartValues& values) const {
  verb.push_back(directory_ + "/cortexflow.tgz");
  verb.insert(verb.end(), {"--namespace", space});
  for (const auto& file : values.files) verb.insert(verb.end(), {"--values", file});
  for (const auto& one : values.set) verb.insert(verb.end(), {"--set", one});
  return verb;
}

Result<std::string> Helm::render(const std::string& release, const std::string& space, const ChartValues& values,
                                 const Capabilities& capabilities) const {
  auto arguments = with_chart({"template", release}, space, values);
  arguments.insert(arguments.end(), {"--kube-version", capabilities.version});
  for (const auto& version : capabilities.versions) arguments.insert(arguments.end(), {"--api-versions", version});
  return run(std::move(arguments), kShort);
}

Result<void> Helm::install(const std::string& release, const std::string& space, const ChartValues& values) const {
  auto arguments = with_chart({"install", release}, space, values);
  arguments.emplace_back("--create-namespace");
  if (const auto done = run(std::move(arguments), kLong); !done) return tl::make_unexpected(done.error());
  return {};
}

// helm's own --reuse-values would keep the older chart's defaults too.
Result<ChartValues> Helm::over_kept(const std::string& release, const std::string& space, ChartValues values) const {
  const auto before = run({"get", "values", release, "--namespace", space, "--output", "yaml"}, kShort);
  if (!before) return tl::make_unexpected(before.error());
  const auto kept = directory_ + "/values.yaml";
  if (auto written = replace_file(kept, *before); !written) return tl::make_unexpected(std::move(written.error()));
  values.files.insert(values.files.begin(), kept);
  return values;
}

Result<std::string> Helm::render_upgrade(const std::string& release, const std::string& space,
                                         const ChartValues& values, const Capabilities& capabilities) const {
  const auto all = over_kept(release, space, values);
  if (!all) return tl::make_unexpected(all.error());
  return render(release, space, *all, capabilities);
}

Result<void> Helm::upgrade(const std::string& release, const std::string& space, const ChartValues& values) const {
  const auto all = over_kept(release, space, values);
  if (!all) return tl::make_unexpected(all.error());
  if (const auto done = run(with_chart({"upgrade", release}, space, *all), kLong); !done) {
    return tl::make_unexpected(done.error());
  }
  return {};
}

Result<void> Helm::uninstall(const std::string& release, const std::string& space,
                             std::chrono::seconds time_max) const {
  const auto done =
      run({"uninstall", release, "--namespace", space, "--wait", "--timeout", fmt::format("{}s", time_max.count())},
          time_max + kShort);
  if (!done) return tl::make_unexpected(done.error());
  return {};
}

}  // namespace cortexflow::cli
