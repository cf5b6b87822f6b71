// SPDX-License-Identifier: Apache-2.0
// Where the configuration comes from, all of it: directories of manifests, an API server, or both.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "agent/source/kubernetes/kubernetes_source.h"
#include "agent/source/kubernetes/object_reading.h"
#include "agent/source/manifest/manifest_source.h"
#include "agent/source/policy_documents.h"
#include "agent/source/settings.h"

namespace cortexflow {

class Sources {
 public:
  using Time = source::ManifestSource::Time;

  // Places in the list of the desired state's sources.  What a file says counts before what the server says: who writes
  // this node's files has the last word.  What an operator applies (agent/policy_book) has a name that neither has.
  static constexpr std::size_t kManifests = 0, kKubernetes = 1, kOperator = 2;
  static std::vector<std::string> names() {
    return {source::kManifestSource, source::kKubernetesSource, source::kOperatorSource};
  }

  static Result<Sources> open(const source::Settings& settings);

  // Readable, or due: poll().
  [[nodiscard]] std::vector<int> fds() const;
  [[nodiscard]] std::optional<Time> due() const { return manifests_.due(); }

  struct Update {
    std::size_t source = 0;
    model::SourceUpdate update;  // `unread` is that of these two sources together
  };
  [[nodiscard]] std::vector<Update> poll(Time now);
  [[nodiscard]] std::optional<source::ManifestSource::Place> place_of(const model::ObjectKey& key) const {
    return manifests_.place_of(key);
  }

  [[nodiscard]] const source::KubernetesSource* kubernetes() const { return kubernetes_.get(); }  // null: none

 private:
  explicit Sources(source::ManifestSource manifests) : manifests_(std::move(manifests)) {}

  source::ManifestSource manifests_;
  std::unique_ptr<source::KubernetesSource> kubernetes_;
  std::vector<model::Unread> unread_ = std::vector<model::Unread>(2);  // by source, the latest
};

}  // namespace cortexflow
