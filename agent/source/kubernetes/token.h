// SPDX-License-Identifier: Apache-2.0
// What this process shows the API server at the moment: tokens are rotated in their file, and given by plugins for a
// time.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/source/kubernetes/api_access.h"

namespace cortexflow::source {

struct Credential {
  std::string token;                           // empty: none
  std::string client_certificate, client_key;  // PEM; empty: none
  bool operator==(const Credential&) const = default;
};

class CredentialSource {
 public:
  using Clock = std::chrono::steady_clock;

  explicit CredentialSource(const ApiAccess& access) : access_(access) {}

  // A file is read again after a minute, as client-go does; a plugin is run again when what it gave ends.  May block
  // for as long as the plugin runs, at most kPluginMax.
  [[nodiscard]] Result<Credential> get(Clock::time_point now);
  // The server has refused what get() gave.
  void refused() { good_until_ = {}; }

 private:
  static constexpr std::chrono::seconds kFileGood{60}, kPluginMax{30};

  Result<Credential> run_plugin(Clock::time_point now);

  ApiAccess access_;
  Credential latest_;
  std::optional<Clock::time_point> good_until_;
};

}  // namespace cortexflow::source
