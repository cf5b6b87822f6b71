// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <httplib.h>

#include "cli/answer_body.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

std::string target(const std::string& path, const Client::Parameters& parameters) {
  if (parameters.empty()) return path;
  return path + "?" + httplib::detail::params_to_query_str({parameters.begin(), parameters.end()});
}

Error refused(const std::string& body) {
  const auto json = ordered_json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error") && json["error"].is_object()) {
    return {json["error"].value("message", ""), json["error"].value("next_step", "")};
  }
  return Client::not_understood();
}

}  // namespace

Error Client::not_understood() { return {"the agent's answer was not understood", "is cfcli of the agent's version?"}; }

Result<ordered_json> Client::answer_to(const char* method, const std::string& target, const ordered_json* body) const {
  const auto connection = transport_->connect();
  if (!connection) return tl::make_unexpected(connection.error());
  httplib::Request request;
  request.method = method;
  request.path = target;
  if (body != nullptr) {
    request.set_header("Content-Type", "application/json");
    request.body = body->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  AnswerBody answer;
  request.content_receiver = [&answer](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    return answer.take(data, size);
  };
  const httplib::Result response = (*connection)->http().send(request);
  if (answer.is_too_long()) return tl::make_unexpected(AnswerBody::too_long());
  if (!response) return tl::make_unexpected((*connection)->no_answer(response.error()));
  if (response->status != 200) return tl::make_unexpected(refused(answer.text()));
  auto json = ordered_json::parse(answer.text(), nullptr, false);
  if (!json.is_object()) return tl::make_unexpected(not_understood());
  return json;
}

Result<ordered_json> Client::get(const std::string& path, const Parameters& parameters) const {
  return answer_to("GET", target(path, parameters));
}

Result<ordered_json> Client::put(const std::string& path, const ordered_json& body) const {
  return answer_to("PUT", path, &body);
}

Result<ordered_json> Client::post(const std::string& path, const ordered_json& body) const {
  return answer_to("POST", path, &body);
}

Result<ordered_json> Client::remove(const std::string& path, const Parameters& parameters) const {
  return answer_to("DELETE", target(path, parameters));
}

Result<void> Client::stream(const std::string& path, const Parameters& parameters, const std::function<void()>& on_open,
                            const std::function<bool(const ordered_json&)>& on_line) const {
  const auto connection = transport_->connect();
  if (!connection) return tl::make_unexpected(connection.error());
  std::string kept;
  bool ended = false;
  bool broken = false;
  bool too_long = false;
  int status = 0;
  const auto response =
      (*connection)
          ->http()
          .Get(
              target(path, parameters), httplib::Headers{},
              [&](const httplib::Response& r) {
                status = r.status;
                if (status == 200) on_open();
                return true;
              },
              [&](const char* data, std::size_t size) {
                kept.append(data, size);
                if (status != 200) {
                  too_long = kept.size() > kLineMax;
                  return !too_long;
                }
                std::size_t begin = 0;
                for (auto end = kept.find('\n'); end != std::string::npos && !ended; end = kept.find('\n', begin)) {
                  const auto json =
                      ordered_json::parse(kept.begin() + static_cast<std::ptrdiff_t>(begin),
                                          kept.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
                  begin = end + 1;
                  broken = !json.is_object();
                  ended = broken || !on_line(json);
                }
                kept.erase(0, begin);
                too_long = !ended && kept.size() > kLineMax;
                return !ended && !too_long;
              });
  if (broken) return tl::make_unexpected(not_understood());
  if (ended) return {};
  if (too_long) return tl::make_unexpected(AnswerBody::too_long(kLineMax));
  if (!response) return tl::make_unexpected((*connection)->no_answer(response.error()));
  if (response->status != 200) return tl::make_unexpected(refused(kept));
  return {};
}

}  // namespace cortexflow::cli
