// SPDX-License-Identifier: Apache-2.0
#include "agent/sources.h"

#include <utility>

namespace cortexflow {

Result<Sources> Sources::open(const source::Settings& settings) {
  auto manifests = source::ManifestSource::open(settings.manifests);
  if (!manifests) return tl::make_unexpected(std::move(manifests.error()));
  Sources out(std::move(*manifests));
  if (settings.kubeconfig.empty()) return out;
  auto kubernetes = source::KubernetesSource::open(settings.kubeconfig, settings.kubernetes_servers, settings.state_dir,
                                                   settings.node_name);
  if (!kubernetes) return tl::make_unexpected(std::move(kubernetes.error()));
  out.kubernetes_ = std::move(*kubernetes);
  return out;
}

std::vector<int> Sources::fds() const {
  std::vector<int> out{manifests_.fd()};
  if (kubernetes_) out.push_back(kubernetes_->fd());
  return out;
}

std::vector<Sources::Update> Sources::poll(Time now) {
  std::vector<Update> out;
  if (auto update = manifests_.poll(now)) out.push_back({kManifests, std::move(*update)});
  if (kubernetes_) {
    if (auto update = kubernetes_->poll()) out.push_back({kKubernetes, std::move(*update)});
  }
  for (const auto& [source, update] : out) unread_[source] = update.unread;
  model::Unread all;
  for (const auto& unread : unread_) all.add(unread);
  // What one source does not have, the next may.
  for (auto& one : out) {
    one.update.unread = all;
    if (&one != &out.back()) one.update.unread.anything = true;
  }
  return out;
}

}  // namespace cortexflow
