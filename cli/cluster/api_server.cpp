// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/api_server.h"

#include "agent/source/kubernetes/json_text.h"

namespace cortexflow::cli {
namespace {

constexpr std::chrono::seconds kAnswerMax{15};
constexpr std::chrono::seconds kExecMax{10};  // until a program in a pod has begun
constexpr std::size_t kOctetsMax = 64 << 20;
constexpr int kPage = 500;

}  // namespace

ApiServer::ApiServer(source::ApiAccess access) : access_(std::move(access)), client_(access_), credentials_(access_) {}

ApiResult<std::string> ApiServer::ask(const source::ApiRequest& request) {
  std::string body;
  int status = 0;
  bool too_long = false;
  std::optional<source::Answered> end;
  const auto on_data = [&](std::string_view octets, int answer_status) {
    status = answer_status;
    too_long = body.size() + octets.size() > kOctetsMax;
    if (!too_long) body += octets;
    return !too_long;
  };
  const auto on_end = [&](const source::Answered& answered) { end = answered; };
  client_.send(request, kAnswerMax, on_data, on_end);
  while (!end) client_.run(kAnswerMax);
  const auto wrong = [](int code, std::string words, std::string next) {
    return tl::make_unexpected(ApiError{code, {std::move(words), std::move(next)}});
  };
  if (!end->error.empty()) return wrong(0, end->error, "is the cluster there, and the kubeconfig's server reachable?");
  if (too_long) return wrong(0, fmt::format("{}: the answer to {} is too long", address(), request.path), "");
  if (status >= 200 && status < 300) return body;
  auto words = source::status_text(body, "message");
  if (words.empty()) words = fmt::format("{} answered {} with status {}", address(), request.path, status);
  std::string next;
  if (status == 401) next = "log in anew: the server does not take this kubeconfig's credentials";
  if (status == 403) next = "ask for a role that grants it: README, On Kubernetes, says what each command needs";
  return wrong(status, std::move(words), std::move(next));
}

ApiResult<Json> ApiServer::ask_json(const source::ApiRequest& request) {
  const auto body = ask(request);
  if (!body) return tl::make_unexpected(body.error());
  auto document = source::parse_json(*body);
  if (document && document->is_object()) return std::move(*document);
  return tl::make_unexpected(ApiError{
      0,
      {fmt::format("{} answered {} with no JSON object", address(), request.path), "is it a Kubernetes API server?"}});
}

ApiResult<Json> ApiServer::get(const std::string& path) { return ask_json({"GET", path}); }

ApiResult<Json> ApiServer::post(const std::string& path, const Json& body) {
  return ask_json({"POST", path, body.dump()});
}

ApiResult<Json> ApiServer::remove(const std::string& path) { return ask_json({"DELETE", path}); }

ApiResult<std::string> ApiServer::text(const std::string& path) { return ask({"GET", path}); }

ApiResult<std::vector<Json>> ApiServer::list(const std::string& path, const std::string& selector) {
  std::vector<Json> out;
  std::string from;
  do {
    auto page = fmt::format("{}?limit={}", path, kPage);
    if (!selector.empty()) page += "&labelSelector=" + source::escaped(selector);
    if (!from.empty()) page += "&continue=" + source::escaped(from);
    auto document = get(page);
    if (!document) return tl::make_unexpected(document.error());
    const auto items = document->find("items");
    if (items != document->end() && items->is_array()) {
      for (auto& item : *items) out.push_back(std::move(item));
    }
    const auto metadata = document->find("metadata");
    const bool more = metadata != document->end() && metadata->is_object() && metadata->contains("continue") &&
                      (*metadata)["continue"].is_string();
    from = more ? (*metadata)["continue"].get<std::string>() : std::string();
  } while (!from.empty());
  return out;
}

Result<std::unique_ptr<source::PodExec>> ApiServer::exec(const source::ExecTarget& target) const {
  const auto credential = [this] {
    const std::lock_guard lock(mutex_);
    return credentials_.get(source::CredentialSource::Clock::now());
  }();
  if (!credential) return tl::make_unexpected(credential.error());
  return source::PodExec::open(access_, *credential, target, kExecMax);
}

}  // namespace cortexflow::cli
