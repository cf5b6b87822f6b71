// SPDX-License-Identifier: Apache-2.0
// The server's end of a TLS connection over a socket that doesn't block.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>

#include "identity/openssl.h"
#include "identity/tls_profile.h"

namespace cortexflow::identity {

class TlsConnection {
 public:
  // Until the peer is ready for `events` (poll(2)); false: no longer.
  using Wait = std::function<bool(short events)>;

  TlsConnection(SSL_CTX& context, int fd, Wait wait);

  // The handshake; false where the peer and we have nothing in common, or it ends.
  [[nodiscard]] bool accept();
  // Octets that are read already, which no poll(2) tells of.
  [[nodiscard]] bool has_read() const;
  // 0: the peer's end; -1: failed.
  [[nodiscard]] ssize_t read(char* to, std::size_t size);
  [[nodiscard]] ssize_t write(const char* from, std::size_t size);
  // Says goodbye, and waits for no answer.
  void close();

 private:
  // Does it until it is done, or failed for good.
  [[nodiscard]] ssize_t until_done(const std::function<int()>& step);

  std::unique_ptr<SSL, FreedBy<SSL_free>> tls_;
  Wait wait_;
};

}  // namespace cortexflow::identity
