// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/kubernetes_source.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

namespace cortexflow::source {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kWaitMax = 1000ms;
constexpr auto kTouchEvery = 30s;

}  // namespace

Result<std::unique_ptr<KubernetesSource>> KubernetesSource::open(const std::string& kubeconfig,
                                                                 const std::vector<std::string>& servers,
                                                                 const std::string& state_dir,
                                                                 const std::string& node) {
  auto access = read_api_access(kubeconfig);
  if (!access) return tl::make_unexpected(std::move(access.error()).wrap("kubeconfig"));
  if (!servers.empty()) access->servers = servers;
  Fd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event) return fail_errno("cannot make an eventfd", errno);
  auto cache = ObjectCache::open(state_dir + "/kubernetes.jsonl", access->servers.front());
  std::optional<ObjectCache> kept;
  if (cache) kept = std::move(*cache);
  return std::unique_ptr<KubernetesSource>(new KubernetesSource(
      std::move(*access), std::move(kept), cache ? "" : cache.error().to_string(), std::move(event), node));
}

KubernetesSource::KubernetesSource(ApiAccess access, std::optional<ObjectCache> cache, std::string cache_trouble,
                                   Fd event, const std::string& node)
    : cache_(std::move(cache)),
      cache_trouble_(std::move(cache_trouble)),
      event_(std::move(event)),
      client_(std::move(access)),
      store_(cache_ ? &*cache_ : nullptr) {
  auto random = [engine = std::make_shared<std::mt19937>(std::random_device{}())] {
    return std::uniform_real_distribution<double>(0, 1)(*engine);
  };
  reflectors_.reserve(resources().size());
  for (std::size_t i = 0; i < resources().size(); ++i) {
    reflectors_.emplace_back(
        resources()[i],
        Reflector::Listener{[this, i, node](const auto& name, auto& object, const auto& version) {
                              normalize(object, resources()[i], reflectors_[i].version());
                              if (resources()[i].kind == model::Kind::kPod) drop_containers_of_others(object, node);
                              store_.put(i, name, object, version);
                            },
                            [this, i](const auto& name) { store_.erase(i, name); }, [this, i] { store_.begin_list(i); },
                            [this, i] { store_.end_list(i); }, [this, i] { store_.clear(i); }},
        random);
  }
  if (cache_) {
    store_.load();
    known_ = cache_->complete();
    if (known_) status_.cached = cache_->heard();
  }
  publish();
  thread_ = std::thread([this] { follow(); });
}

KubernetesSource::~KubernetesSource() {
  stop_ = true;
  client_.wake();
  thread_.join();
  store_.flush();
}

bool KubernetesSource::all_synced() const {
  return std::all_of(reflectors_.begin(), reflectors_.end(), [](const auto& reflector) { return reflector.synced(); });
}

void KubernetesSource::ask(std::size_t resource) {
  auto& reflector = reflectors_[resource];
  const auto path = reflector.next(Clock::now());
  if (!path) return;
  client_.get(
      *path, reflector.answer_max(),
      [&reflector, this](std::string_view octets, int status) {
        const std::lock_guard lock(mutex_);
        return reflector.received(octets, status, Clock::now());
      },
      [&reflector, this](const Answered& answered) {
        const std::lock_guard lock(mutex_);
        reflector.ended(answered, Clock::now());
      });
}

void KubernetesSource::follow() {
  while (!stop_) {
    for (std::size_t i = 0; i < reflectors_.size(); ++i) ask(i);
    auto wait = Clock::now() + kWaitMax;
    for (const auto& reflector : reflectors_) {
      if (reflector.state() == Reflector::State::kWaiting) wait = std::min(wait, reflector.time());
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(wait - Clock::now());
    client_.run(std::clamp<std::chrono::milliseconds>(left, 0ms, kWaitMax));
    const std::lock_guard lock(mutex_);
    publish();
  }
}

// What came, to poll() and to the cache.
void KubernetesSource::publish() {
  if (!known_ && all_synced()) known_ = true;
  if (cache_ && all_synced()) cache_->set_complete();
  store_.flush();
  status_.server = client_.server();
  status_.synced = all_synced();
  if (status_.synced) status_.cached.reset();
  status_.cache_trouble = cache_ ? cache_->trouble() : cache_trouble_;
  status_.kinds.clear();
  auto heard = Clock::time_point::max();
  for (std::size_t i = 0; i < reflectors_.size(); ++i) {
    const auto& one = reflectors_[i];
    heard = std::min(heard, one.heard());
    status_.kinds.push_back({std::string(model::kind_name(resources()[i].kind)), one.version().api_version, one.state(),
                             one.synced(), one.is_missing(), store_.size(i), one.trouble(), one.figures()});
  }
  status_.heard = heard;
  const auto now = Clock::now();
  if (cache_ && status_.synced && heard > touched_ && now - touched_ >= kTouchEvery) {
    cache_->touch();
    touched_ = now;
  }
  if (has_news()) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(event_.get(), &one, sizeof one);
  }
}

bool KubernetesSource::has_news() const {
  return known_ ? store_.changed() || told_ != Told::kKnown : told_ == Told::kNothing;
}

std::optional<model::SourceUpdate> KubernetesSource::poll() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(event_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  if (!has_news()) return std::nullopt;
  told_ = known_ ? Told::kKnown : Told::kNotKnown;
  if (known_) return store_.take();
  model::SourceUpdate nothing_yet;
  nothing_yet.unread.anything = true;
  return nothing_yet;
}

KubernetesSource::Status KubernetesSource::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace cortexflow::source
