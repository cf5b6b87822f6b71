// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/fd.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

std::string target(const std::string& path, const Client::Parameters& parameters) {
  if (parameters.empty()) return path;
  return path + "?" + httplib::detail::params_to_query_str({parameters.begin(), parameters.end()});
}

std::unique_ptr<httplib::ClientImpl> connect_to(const std::string& socket_path) {
  auto http = std::make_unique<httplib::ClientImpl>(socket_path, 80);
  http->set_address_family(AF_UNIX);
  http->set_read_timeout(std::chrono::seconds(10));  // a followed stream has a line each second
  return http;
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

Error Client::unreachable() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_path_.copy(address.sun_path, sizeof address.sun_path - 1);
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return {fmt::format("the {} at {} took the request and did not answer it", peer_.name, socket_path_),
            fmt::format("see its log (journalctl -u {})", peer_.unit)};
  }
  const auto start =
      fmt::format("start it (sudo systemctl start {}), or name its socket with {}", peer_.unit, peer_.flag);
  switch (errno) {
    case EAGAIN:
      return {fmt::format("the {} at {} takes no more requests: its queue is full", peer_.name, socket_path_),
              fmt::format("it is busy or stopped: try again, or see its log (journalctl -u {})", peer_.unit)};
    case EACCES:
      return {fmt::format("no right to use {}", socket_path_), "use sudo, or join group cortexflow"};
    case ENOENT:
      return {fmt::format("no {} is running: there is no {}", peer_.name, socket_path_), start};
    case ECONNREFUSED:
      return {fmt::format("no {} is running: nothing answers on {}", peer_.name, socket_path_), start};
    default:
      return {fmt::format("cannot connect to {}: {}", socket_path_, std::strerror(errno)), start};
  }
}

Result<void> Client::check_path() const {
  constexpr std::size_t kMax = sizeof(sockaddr_un::sun_path) - 1;
  if (!socket_path_.empty() && socket_path_.size() <= kMax) return {};
  return tl::make_unexpected(Error{fmt::format("socket path \"{}\" has {} octets", socket_path_, socket_path_.size()),
                                   fmt::format("a Unix socket's path has 1 to {}: see {}", kMax, peer_.flag)});
}

Result<std::unique_ptr<httplib::ClientImpl>> Client::connection() const {
  if (https_) return https_->connect();
  if (auto path_ok = check_path(); !path_ok) return tl::make_unexpected(std::move(path_ok.error()));
  return connect_to(socket_path_);
}

template <typename Ask>
Result<ordered_json> Client::answer_to(const Ask& ask) const {
  const auto http = connection();
  if (!http) return tl::make_unexpected(http.error());
  const httplib::Result response = ask(**http);
  if (!response) return tl::make_unexpected(https_ ? https_->unreachable(response.error()) : unreachable());
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
  const auto http = connection();
  if (!http) return tl::make_unexpected(http.error());
  std::string kept;
  bool ended = false;
  bool broken = false;
  int status = 0;
  const auto response = (*http)->Get(
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
          const auto json = ordered_json::parse(kept.begin() + static_cast<std::ptrdiff_t>(begin),
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
  if (!response) return tl::make_unexpected(unreachable());
  if (response->status != 200) return tl::make_unexpected(refused(kept));
  return {};
}

}  // namespace cortexflow::cli
