// SPDX-License-Identifier: Apache-2.0
// The control API of an agent, or that of cfidentity.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/base/result.h"
#include "cli/transport.h"

namespace cortexflow::cli {

class Client {
 public:
  using Parameters = std::multimap<std::string, std::string>;

  explicit Client(std::shared_ptr<const Transport> transport) : transport_(std::move(transport)) {}

  [[nodiscard]] Result<nlohmann::ordered_json> get(const std::string& path, const Parameters& parameters = {}) const;
  [[nodiscard]] Result<nlohmann::ordered_json> put(const std::string& path, const nlohmann::ordered_json& body) const;
  [[nodiscard]] Result<nlohmann::ordered_json> post(const std::string& path, const nlohmann::ordered_json& body) const;
  [[nodiscard]] Result<nlohmann::ordered_json> remove(const std::string& path, const Parameters& parameters) const;
  // Answers have AnswerBody::kOctetsMax octets at most, a stream's lines kLineMax.
  static constexpr std::size_t kLineMax = 256 << 10;
  // Calls `on_open` when the agent has taken the request, then `on_line` with each line; that returns false to end.
  [[nodiscard]] Result<void> stream(const std::string& path, const Parameters& parameters,
                                    const std::function<void()>& on_open,
                                    const std::function<bool(const nlohmann::ordered_json&)>& on_line) const;

  [[nodiscard]] static Error not_understood();

 private:
  [[nodiscard]] Result<nlohmann::ordered_json> answer_to(const char* method, const std::string& target,
                                                         const nlohmann::ordered_json* body = nullptr) const;

  std::shared_ptr<const Transport> transport_;
};

}  // namespace cortexflow::cli
