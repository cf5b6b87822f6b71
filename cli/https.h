// SPDX-License-Identifier: Apache-2.0
// cfidentity's API over HTTPS: its certificate is checked, and a token shows who is asking.
#pragma once

#include <memory>
#include <string>

#include "agent/base/result.h"

namespace httplib {
class ClientImpl;
enum class Error;
}  // namespace httplib

namespace cortexflow::cli {

struct HttpsServer {
  std::string url;         // https://HOST:PORT
  std::string token_file;  // a bearer token, such as a pod's for cfidentity's audience
  std::string ca;          // a file of the roots that may vouch for the server, in PEM

  [[nodiscard]] Result<std::unique_ptr<httplib::ClientImpl>> connect() const;
  // Why there was no answer.
  [[nodiscard]] Error unreachable(httplib::Error error) const;
};

}  // namespace cortexflow::cli
