// SPDX-License-Identifier: Apache-2.0
// What is collected for a bug report: files in a directory of its own, then one archive.  What can't be had is said in
// the dump itself; its size has a limit; no secret that can be told is in it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::cli {

// Safe to use from several threads, but open() and pack().
class Dump {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kPartMax = 8 << 20;  // octets of one file; the rest of it is left out

  [[nodiscard]] static Result<Dump> open(const std::string& name, std::size_t octets_max, Clock::time_point until);
  Dump(Dump&& other) noexcept;
  Dump& operator=(Dump&&) = delete;
  ~Dump();

  // `path` is relative and leads nowhere out, else it is missing; its secrets are taken out here.
  void add(const std::string& path, const Result<nlohmann::ordered_json>& document);
  void add_text(const std::string& path, const Result<std::string>& text);
  // Not even begun once there is no more time.
  void collect(const std::string& path, const std::function<Result<nlohmann::ordered_json>()>& get);
  void collect_text(const std::string& path, const std::function<Result<std::string>()>& get);

  // An archive at `file`, readable by its owner alone.
  [[nodiscard]] Result<void> pack(const std::string& file);

  [[nodiscard]] std::size_t parts() const { return parts_; }
  [[nodiscard]] const std::vector<std::string>& missing() const { return missing_; }

 private:
  Dump() = default;
  void write(const std::string& path, std::string text);
  void miss(const std::string& path, const std::string& why);
  [[nodiscard]] bool in_time(const std::string& path);

  std::string directory_, name_;  // directory_ empty: nothing is this one's
  std::size_t octets_left_ = 0, written_ = 0;
  Clock::time_point until_;
  std::mutex mutex_;  // all below, octets_left_ and written_
  std::size_t parts_ = 0;
  std::vector<std::string> missing_;  // "PATH: why"
};

}  // namespace cortexflow::cli
