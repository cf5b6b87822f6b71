// SPDX-License-Identifier: Apache-2.0
// One check in flight: a socket that does not block, and what is said over it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/base/fd.h"
#include "agent/health/exchange.h"
#include "agent/health/outcome.h"
#include "agent/health/target.h"

namespace cortexflow::health {

class Probe {
 public:
  explicit Probe(const Target& target) : target_(target) {}

  // Begins to connect, from this process's network namespace.  An outcome where it ended at once.
  [[nodiscard]] std::optional<Outcome> start();
  // To be called when the socket has become readable, writable or broken (edge-triggered is enough).
  [[nodiscard]] std::optional<Outcome> go_on();
  [[nodiscard]] Outcome timed_out() const;

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] const Target& target() const { return target_; }

 private:
  [[nodiscard]] std::optional<Outcome> connected();
  [[nodiscard]] std::optional<Outcome> send_all();
  [[nodiscard]] std::optional<Outcome> receive();

  Target target_;
  Fd socket_;
  bool connected_ = false;
  std::unique_ptr<Exchange> exchange_;
  std::string unsent_;
};

}  // namespace cortexflow::health
