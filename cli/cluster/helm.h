// SPDX-License-Identifier: Apache-2.0
// helm, run as a child: there is no library of it but in Go.  It gets the chart that is in this program.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "cli/environments.h"

namespace cortexflow::cli {

// The chart, as an archive.
std::string_view embedded_chart();

// What the chart calls a release's objects, as cortexflow.name in its templates/_helpers.tpl: 50 octets at most.
[[nodiscard]] std::string chart_name(const std::string& release);

// What a user gives: --set, --values.
struct ChartValues {
  std::vector<std::string> set, files;
};

// What a chart may ask of a cluster: helm's own look would also ask who owns each object, which not everybody may.
struct Capabilities {
  std::string version;                // "v1.20.2"
  std::vector<std::string> versions;  // "policy/v1", "policy/v1/PodDisruptionBudget"
};

class Helm {
 public:
  // An error where there is no helm 3 or newer.  The chart lies in a directory of its own as long as this lives.
  [[nodiscard]] static Result<Helm> open(const Environment& environment);
  Helm(Helm&& other) noexcept;
  Helm& operator=(Helm&&) = delete;
  ~Helm();

  [[nodiscard]] const std::string& version() const { return version_; }

  // What would be installed, in YAML.
  [[nodiscard]] Result<std::string> render(const std::string& release, const std::string& space,
                                           const ChartValues& values, const Capabilities& capabilities) const;
  // With the values that the release was given before, under `values`.
  [[nodiscard]] Result<std::string> render_upgrade(const std::string& release, const std::string& space,
                                                   const ChartValues& values, const Capabilities& capabilities) const;
  [[nodiscard]] Result<void> install(const std::string& release, const std::string& space,
                                     const ChartValues& values) const;
  // As render_upgrade().
  [[nodiscard]] Result<void> upgrade(const std::string& release, const std::string& space,
                                     const ChartValues& values) const;
  [[nodiscard]] Result<void> uninstall(const std::string& release, const std::string& space,
                                       std::chrono::seconds time_max) const;

 private:
  Helm() = default;
  [[nodiscard]] Result<std::string> run(std::vector<std::string> arguments, std::chrono::seconds time_max) const;
  [[nodiscard]] Result<ChartValues> over_kept(const std::string& release, const std::string& space,
                                              ChartValues values) const;
  [[nodiscard]] std::vector<std::string> with_chart(std::vector<std::string> verb, const std::string& space,
                                                    const ChartValues& values) const;

  std::string version_;
  std::string directory_;  // of the chart; empty: none is this one's
  std::string kubeconfig_, context_;
};

}  // namespace cortexflow::cli
