// SPDX-License-Identifier: Apache-2.0
// The ways to the other side of a request: a Unix socket, HTTPS, or a cluster's API server.
#pragma once

#include <memory>

#include "agent/base/result.h"

namespace httplib {
class ClientImpl;
enum class Error;
}  // namespace httplib

namespace cortexflow::cli {

// One request's.
class Connection {
 public:
  virtual ~Connection() = default;
  [[nodiscard]] virtual httplib::ClientImpl& http() = 0;
  // Why there was no answer.  Once, last.
  [[nodiscard]] virtual Error no_answer(httplib::Error error) = 0;
};

// Safe to use from several threads.
class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<Connection>> connect() const = 0;
};

}  // namespace cortexflow::cli
