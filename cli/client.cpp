// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <httplib.h>

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

template <typename Ask>
Result<ordered_json> Client::answer_to(const Ask& ask) const {
  const auto connection = transport_->connect();
  if (!connection) return tl::make_unexpected(connection.error());
  const httplib::Result response = ask((*connection)->http());
  if (!response) return tl::make_unexpected((*connection)->no_answer(response.error()));
  if (response->status != 200) return tl::make_unexpected(refused(response->body));
  auto json = ordered_json::parse(response->body, nullptr, false);
  if (!json.is_object()) return tl::make_unexpected(not_understood());
  return json;
}

Result<ordered_json> Client::get(const std::string& path, const Parameters& parameters) const {
  return answer_to([&](httplib::ClientImpl& http) { return http.Get(target(path, parameters)); });
}

Result<ordered_json> Client::put(const std::string& path, const ordered_json& body) const {
  const auto text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return answer_to([&](httplib::ClientImpl& http) { return http.Put(path, text, "application/json"); });
}

Result<ordered_json> Client::post(const std::string& path, const ordered_json& body) const {
  const auto text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return answer_to([&](httplib::ClientImpl& http) { return http.Post(path, text, "application/json"); });
}

Result<ordered_json> Client::remove(const std::string& path, const Parameters& parameters) const {
  return answer_to([&](httplib::ClientImpl& http) { return http.Delete(target(path, parameters)); });
}

Result<void> Client::stream(const std::string& path, const Parameters& parameters, const std::function<void()>& on_open,
                            const std::function<bool(const ordered_json&)>& on_line) const {
  const auto connection = transport_->connect();
  if (!connection) return tl::make_unexpected(connection.error());
  std::string kept;
  bool ended = false;
  bool broken = false;
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
                if (status != 200) return true;
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
                return !ended;
              });
  if (broken) return tl::make_unexpected(not_understood());
  if (ended) return {};
  if (!response) return tl::make_unexpected((*connection)->no_answer(response.error()));
  if (response->status != 200) return tl::make_unexpected(refused(kept));
  return {};
}

}  // namespace cortexflow::cli
