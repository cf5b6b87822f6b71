// SPDX-License-Identifier: Apache-2.0
// An API server as a source of configuration: lists and watches in a thread of its own, says what changed.  While the
// server is away the last known state counts, also that of the agent before, from state_dir.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/fd.h"
#include "agent/source/kubernetes/api_client.h"
#include "agent/source/kubernetes/object_store.h"

namespace cortexflow::source {

class KubernetesSource {
 public:
  struct KindStatus {
    std::string kind;         // "EndpointSlice"
    std::string api_version;  // "discovery.k8s.io/v1"
    Reflector::State state{};
    bool synced = false, missing = false;
    std::size_t objects = 0;
    std::string trouble;  // empty: none
    Reflector::Figures figures;
  };
  struct Status {
    std::string server;
    bool synced = false;                          // all that the server has was there once, since the start
    std::optional<ObjectCache::WallTime> cached;  // what counts is of that time, as the server has not been heard since
    std::chrono::steady_clock::time_point heard;  // where not cached; of the kind that was heard longest ago
    std::vector<KindStatus> kinds;
    std::string cache_trouble;
  };

  // `kubeconfig` is a file's path, or "in-cluster"; `servers` replace the file's where there are any.
  // `node` is this one's name: containers are kept of its pods alone.
  static Result<std::unique_ptr<KubernetesSource>> open(const std::string& kubeconfig,
                                                        const std::vector<std::string>& servers,
                                                        const std::string& state_dir, const std::string& node);
  ~KubernetesSource();
  KubernetesSource(const KubernetesSource&) = delete;
  KubernetesSource& operator=(const KubernetesSource&) = delete;

  [[nodiscard]] int fd() const { return event_.get(); }  // readable: poll() has something
  [[nodiscard]] std::optional<model::SourceUpdate> poll();
  [[nodiscard]] Status status() const;

 private:
  KubernetesSource(ApiAccess access, std::optional<ObjectCache> cache, std::string cache_trouble, Fd event,
                   const std::string& node);

  void follow();
  void ask(std::size_t resource);
  void publish();
  [[nodiscard]] bool all_synced() const;
  [[nodiscard]] bool has_news() const;

  std::optional<ObjectCache> cache_;
  std::string cache_trouble_;  // why there is none
  Fd event_;
  ApiClient client_;
  std::vector<Reflector> reflectors_;  // in the order of resources()
  std::chrono::steady_clock::time_point touched_{};

  mutable std::mutex mutex_;  // all below
  ObjectStore store_;
  Status status_;
  bool known_ = false;  // all that counts is in store_: from the server, or from the cache
  enum class Told : std::uint8_t { kNothing, kNotKnown, kKnown } told_ = Told::kNothing;  // by poll()

  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace cortexflow::source
