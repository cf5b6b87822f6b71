// SPDX-License-Identifier: Apache-2.0
#include "identity/webhook/ca_bundle_keeper.h"

#include "agent/base/thread.h"
#include "agent/source/kubernetes/json_text.h"
#include "identity/webhook/ca_bundle.h"

namespace cortexflow::identity {
namespace {

constexpr std::array<const char*, 2> kPaths{"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/",
                                            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"};
constexpr std::chrono::seconds kAnswerMax{5};
constexpr std::size_t kAnswerOctetsMax = 2U << 20U;

Result<void> check(const source::ApiReply& reply, const std::string& what, const char* verb) {
  if (!reply.error.empty()) return tl::make_unexpected(Error{reply.error, {}}.wrap(what));
  if (reply.too_long) return fail("{}: it is longer than {} octets", what, kAnswerOctetsMax);
  if (reply.status == 200) return {};
  const auto words = fmt::format("{}: the API server answered with status {}", what, reply.status);
  if (reply.status == 404) return tl::make_unexpected(Error{words, "check webhook.configuration"});
  if (reply.status == 403) {
    return tl::make_unexpected(Error{words, fmt::format("let cfidentity's service account {} it", verb)});
  }
  return fail("{}", words);
}

}  // namespace

Result<std::unique_ptr<CaBundleKeeper>> CaBundleKeeper::start(source::ApiAccess access, std::string name,
                                                              std::function<std::string()> roots) {
  auto calls = source::ApiCalls::start(std::move(access));
  if (!calls) return tl::make_unexpected(std::move(calls.error()));
  std::unique_ptr<CaBundleKeeper> made(new CaBundleKeeper(std::move(*calls), std::move(name), std::move(roots)));
  auto thread = start_thread([raw = made.get()] { raw->run(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()));
  made->thread_ = std::move(*thread);
  return made;
}

CaBundleKeeper::~CaBundleKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void CaBundleKeeper::changed() {
  {
    const std::lock_guard lock(mutex_);
    changed_ = true;
  }
  wake_.notify_all();
}

CaBundleKeeper::Configurations CaBundleKeeper::configurations() const {
  const std::lock_guard lock(mutex_);
  return configurations_;
}

void CaBundleKeeper::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_ = false;
    lock.unlock();
    const auto roots = roots_();
    for (std::size_t i = 0; i < kPaths.size(); ++i) look(i, roots);
    lock.lock();
    wake_.wait_for(lock, kEvery, [this] { return changed_ || stopping_; });
  }
}

void CaBundleKeeper::look(std::size_t which, const std::string& roots) {
  const auto kind = configurations_.at(which).kind;
  const auto written = make_current(kind, kPaths.at(which) + name_, roots);
  const std::lock_guard lock(mutex_);
  auto& configuration = configurations_.at(which);
  configuration.current = written.has_value();
  configuration.problem = written ? std::string() : written.error().to_string();
  configuration.written += written.value_or(0);
  configuration.failed += written ? 0 : 1;
}

Result<std::uint64_t> CaBundleKeeper::make_current(const std::string& kind, const std::string& path,
                                                   const std::string& roots) {
  const auto what = fmt::format("{} {}", kind, name_);
  const auto got = calls_->ask({"GET", path}, kAnswerMax, kAnswerOctetsMax);
  if (auto checked = check(got, what, "get"); !checked) return tl::make_unexpected(std::move(checked.error()));
  const auto configuration = source::parse_json(got.body);
  if (!configuration || !configuration->is_object()) return fail("{}: the API server's answer is no object", what);
  const auto patch = ca_bundle_patch(*configuration, roots);
  if (patch.is_null()) return 0;
  const auto patched = calls_->ask({"PATCH", path, patch.dump(), "application/strategic-merge-patch+json"}, kAnswerMax,
                                   kAnswerOctetsMax);
  if (auto checked = check(patched, what, "patch"); !checked) return tl::make_unexpected(std::move(checked.error()));
  return 1;
}

}  // namespace cortexflow::identity
