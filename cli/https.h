// SPDX-License-Identifier: Apache-2.0
// cfidentity's API over HTTPS: its certificate is checked, and a token shows who is asking.
#pragma once

#include <memory>
#include <string>

#include "cli/transport.h"

namespace cortexflow::cli {

struct HttpsServer {
  std::string url;         // https://HOST:PORT
  std::string token_file;  // a bearer token, such as a pod's for cfidentity's audience
  std::string ca;          // a file of the roots that may vouch for the server, in PEM

  [[nodiscard]] Result<std::unique_ptr<httplib::ClientImpl>> open() const;
  // Why there was no answer.
  [[nodiscard]] Error unreachable(httplib::Error error) const;
};

class HttpsTransport : public Transport {
 public:
  explicit HttpsTransport(HttpsServer server) : server_(std::move(server)) {}
  [[nodiscard]] Result<std::unique_ptr<Connection>> connect() const override;

 private:
  HttpsServer server_;
};

}  // namespace cortexflow::cli
