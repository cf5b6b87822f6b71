// SPDX-License-Identifier: Apache-2.0
#include "identity/conditions/condition_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "agent/base/thread.h"
#include "agent/model/time_text.h"
#include "agent/source/kubernetes/json_text.h"
#include "identity/conditions/accepted.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr auto kWaitMax = 1000ms;
constexpr auto kAnswerMax = 10s;
constexpr std::size_t kRefusalOctetsMax = 64U << 10U;

// To the second, as all of Kubernetes' times.
std::string wall_time() { return model::time_text(std::chrono::system_clock::now()).substr(0, 19) + "Z"; }

const source::Resource& resource_of(model::Kind kind) {
  const auto& all = source::resources();
  return *std::find_if(all.begin(), all.end(), [kind](const auto& resource) { return resource.kind == kind; });
}

// Forced: an entry of this type is nobody else's, whoever has written one (a backup that was restored).
std::string status_path(const model::ObjectKey& key) {
  const auto& path = resource_of(key.kind).versions.front().path;
  const auto plural = path.rfind('/');
  const auto space = key.name.ns.empty() ? "" : "/namespaces/" + source::escaped(key.name.ns);
  return fmt::format("{}{}{}/{}/status?fieldManager=cfidentity&force=true", path.substr(0, plural), space,
                     path.substr(plural), source::escaped(key.name.name));
}

}  // namespace

Result<std::unique_ptr<ConditionWriter>> ConditionWriter::start(source::ApiAccess access) {
  std::unique_ptr<ConditionWriter> made(new ConditionWriter(std::move(access)));
  auto thread = start_thread([raw = made.get()] { raw->run(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  made->thread_ = std::move(*thread);
  return made;
}

ConditionWriter::ConditionWriter(source::ApiAccess access) : client_(std::move(access)) {
  auto random = [engine = std::make_shared<std::mt19937>(std::random_device{}())] {
    return std::uniform_real_distribution<double>(0, 1)(*engine);
  };
  for (const auto& resource : source::resources()) {
    if (resource.may_be_missing) reflectors_.emplace_back(resource, listener(resource), random);
  }
  publish();
}

ConditionWriter::~ConditionWriter() {
  stopping_ = true;
  client_.wake();
  if (thread_.joinable()) thread_.join();
}

source::Reflector::Listener ConditionWriter::listener(const source::Resource& resource) {
  const auto kind = resource.kind;
  return {[this, &resource](const auto& name, auto& object, const auto& at) {
            const model::ObjectKey key{resource.kind, name};
            const auto condition = condition_to_write(object, resource, name, wall_time());
            if (condition.is_null()) return queue_.erase(key);
            queue_.put(key, condition_apply(condition, resource.versions.front(), name, at).dump());
          },
          [this, kind](const auto& name) { queue_.erase({kind, name}); }, [this, kind] { queue_.clear(kind); }, [] {},
          [this, kind] { queue_.clear(kind); }};
}

void ConditionWriter::follow(source::Reflector& reflector) {
  const auto path = reflector.next(Clock::now());
  if (!path) return;
  client_.get(
      *path, reflector.answer_max(),
      [&reflector](std::string_view octets, int status) { return reflector.received(octets, status, Clock::now()); },
      [&reflector](const source::Answered& answered) { reflector.ended(answered, Clock::now()); });
}

void ConditionWriter::write() {
  const auto next = queue_.next(Clock::now());
  if (!next) return;
  const auto body = std::make_shared<std::string>();
  client_.send(
      {"PATCH", status_path(next->key), next->body, "application/apply-patch+yaml"}, kAnswerMax,
      [body](std::string_view octets, int status) {
        if (status >= 400 && body->size() + octets.size() <= kRefusalOctetsMax) *body += octets;
        return true;
      },
      [this, body](const source::Answered& answered) {
        queue_.answered(answered, source::status_text(*body, "message"), Clock::now());
      });
}

void ConditionWriter::run() {
  while (!stopping_) {
    for (auto& reflector : reflectors_) follow(reflector);
    write();
    auto until = Clock::now() + kWaitMax;
    if (const auto due = queue_.time()) until = std::min(until, *due);
    for (const auto& reflector : reflectors_) {
      if (reflector.state() == source::Reflector::State::kWaiting) until = std::min(until, reflector.time());
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    client_.run(std::clamp<std::chrono::milliseconds>(left, 0ms, kWaitMax));
    publish();
  }
}

void ConditionWriter::publish() {
  Status now{{}, queue_.size(), queue_.problem()};
  for (const auto& reflector : reflectors_) {
    const std::string kind(model::kind_name(reflector.resource().kind));
    now.kinds.push_back({kind, queue_.figures(reflector.resource().kind), reflector.figures().failures});
    if (now.problem.empty() && !reflector.trouble().empty()) {
      now.problem = fmt::format("{} can't be followed: {}", kind, reflector.trouble());
    }
  }
  const std::lock_guard lock(mutex_);
  status_ = std::move(now);
}

ConditionWriter::Status ConditionWriter::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace cortexflow::identity
