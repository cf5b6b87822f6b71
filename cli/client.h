// SPDX-License-Identifier: Apache-2.0
// The control API of the agent, or that of cfidentity, called over its Unix socket; the latter also over HTTPS.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "agent/base/result.h"
#include "cli/https.h"

namespace cortexflow::cli {

class Client {
 public:
  using Parameters = std::multimap<std::string, std::string>;

  // What its errors call the other side, and say to start.
  struct Peer {
    std::string name = "agent";
    std::string unit = "cfagent";
    std::string flag = "--socket";
  };

  explicit Client(HttpsServer server) : https_(std::move(server)) {}
  explicit Client(std::string socket_path) : socket_path_(std::move(socket_path)) {}
  Client(std::string socket_path, Peer peer) : socket_path_(std::move(socket_path)), peer_(std::move(peer)) {}

  [[nodiscard]] Result<nlohmann::ordered_json> get(const std::string& path, const Parameters& parameters = {}) const;
  [[nodiscard]] Result<nlohmann::ordered_json> put(const std::string& path, const nlohmann::ordered_json& body) const;
  [[nodiscard]] Result<nlohmann::ordered_json> post(const std::string& path, const nlohmann::ordered_json& body) const;
  [[nodiscard]] Result<nlohmann::ordered_json> remove(const std::string& path, const Parameters& parameters) const;
  // Calls `on_open` when the agent has taken the request, then `on_line` with each line; that returns false to end.
  [[nodiscard]] Result<void> stream(const std::string& path, const Parameters& parameters,
                                    const std::function<void()>& on_open,
                                    const std::function<bool(const nlohmann::ordered_json&)>& on_line) const;

  [[nodiscard]] static Error not_understood();

 private:
  [[nodiscard]] Result<void> check_path() const;
  [[nodiscard]] Result<std::unique_ptr<httplib::ClientImpl>> connection() const;
  template <typename Ask>
  [[nodiscard]] Result<nlohmann::ordered_json> answer_to(const Ask& ask) const;
  // Why there was no answer, asked again without HTTP in between.
  [[nodiscard]] Error unreachable() const;

  std::string socket_path_;
  Peer peer_;
  std::optional<HttpsServer> https_;  // in place of the socket
};

}  // namespace cortexflow::cli
