// SPDX-License-Identifier: Apache-2.0
// What the user wants of services, on its way into the kernel: manifests -> desired state -> plans -> map writes.
// The event loop's thread polls it; what it shows may be read from any.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/compile/service_book.h"
#include "agent/control/service_view.h"
#include "agent/kernel/redirect.h"
#include "agent/kernel/service_tables.h"
#include "agent/source/manifest/manifest_source.h"
#include "agent/source/settings.h"
#include "agent/state/desired_state.h"

namespace cortexflow {

class Services {
 public:
  using Clock = source::ManifestSource::Time::clock;

  // Loads the programs over what an agent before left, and reads the manifests once; attached when all of it stands.
  [[nodiscard]] static Result<std::unique_ptr<Services>> open(const source::Settings& settings,
                                                              const std::string& cgroup_root);

  [[nodiscard]] int fd() const { return manifests_.fd(); }
  [[nodiscard]] std::optional<Clock::time_point> due() const { return manifests_.due(); }
  // Writes what has changed.  Errors are those of the kernel's maps, said once each.
  [[nodiscard]] std::vector<Error> poll();

  [[nodiscard]] std::vector<control::ServiceRow> rows() const;
  [[nodiscard]] std::vector<std::string> refusals() const;
  struct Use {
    const char* map;
    std::size_t used, limit;
  };
  [[nodiscard]] std::vector<Use> usage() const;
  [[nodiscard]] const kernel::ServiceTables& tables() const { return *tables_; }
  [[nodiscard]] kernel::Redirect* redirect() const { return redirect_.get(); }  // null: no interfaces are chosen

 private:
  Services(source::ManifestSource manifests, std::unique_ptr<kernel::ServiceTables> tables, compile::NodeContext node,
           std::string cgroup_root);

  void take_over(std::vector<Error>& errors);
  void update(const model::SourceUpdate& changes, std::vector<Error>& errors);
  void update_caller(const model::ObjectName& pod, const state::Snapshot& snapshot, std::vector<Error>& errors);
  void write(const std::vector<compile::Operation>& operations, std::vector<Error>& errors);

  source::ManifestSource manifests_;
  std::unique_ptr<kernel::ServiceTables> tables_;
  std::unique_ptr<kernel::Redirect> redirect_;  // over tables_
  compile::NodeContext node_;
  std::string cgroup_root_;
  bool by_packet_ = false;  // callers are known by their address too

  mutable std::mutex mutex_;  // what rows() and refusals() read
  state::DesiredState desired_{{source::kManifestSource}};
  compile::ServiceBook book_;
  std::map<model::ObjectName, std::vector<std::string>> plan_refusals_;
  std::map<model::ObjectName, std::vector<std::string>> caller_keys_;  // octets in svc_callers, by pod
  std::map<model::ObjectName, std::string> caller_refusals_;
};

}  // namespace cortexflow
