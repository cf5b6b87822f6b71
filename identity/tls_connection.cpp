// SPDX-License-Identifier: Apache-2.0
#include "identity/tls_connection.h"

#include <poll.h>

#include <algorithm>
#include <climits>

namespace cortexflow::identity {
namespace {

int clamped(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

}  // namespace

TlsConnection::TlsConnection(SSL_CTX& context, int fd, Wait wait) : tls_(SSL_new(&context)), wait_(std::move(wait)) {
  if (tls_ && SSL_set_fd(tls_.get(), fd) != 1) tls_.reset();
}

ssize_t TlsConnection::until_done(const std::function<int()>& step) {
  while (true) {
    ERR_clear_error();
    const int done = step();
    if (done > 0) return done;
    const int error = SSL_get_error(tls_.get(), done);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    const bool waits = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    if (!waits || !wait_(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT)) return -1;
  }
}

bool TlsConnection::accept() {
  return tls_ && until_done([this] { return SSL_accept(tls_.get()); }) > 0;
}

bool TlsConnection::has_read() const { return SSL_pending(tls_.get()) > 0; }

ssize_t TlsConnection::read(char* to, std::size_t size) {
  return until_done([&] { return SSL_read(tls_.get(), to, clamped(size)); });
}

ssize_t TlsConnection::write(const char* from, std::size_t size) {
  if (size == 0) return 0;
  return until_done([&] { return SSL_write(tls_.get(), from, clamped(size)); });
}

void TlsConnection::close() {
  ERR_clear_error();
  if (tls_) SSL_shutdown(tls_.get());
  ERR_clear_error();
}

}  // namespace cortexflow::identity
