// SPDX-License-Identifier: Apache-2.0
// A log line's message as a JSON string, quotes and all: what it quotes may hold anything.
#pragma once

#include <spdlog/pattern_formatter.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace cortexflow {

class JsonMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& line, const std::tm&, spdlog::memory_buf_t& out) override {
    const nlohmann::json text(std::string(line.payload.data(), line.payload.size()));
    const std::string quoted = text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.append(quoted.data(), quoted.data() + quoted.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessage>();
  }
};

}  // namespace cortexflow
