// SPDX-License-Identifier: Apache-2.0
#include "cli/https.h"

#include <httplib.h>

#include <charconv>
#include <csignal>
#include <optional>

#include "identity/certificates.h"
#include "identity/small_file.h"
#include "identity/tls_profile.h"

namespace cortexflow::cli {
namespace {

using namespace std::chrono_literals;

struct HostPort {
  std::string host;
  int port = 443;
};

std::optional<HostPort> parse_url(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  if (url.ends_with('/')) url.remove_suffix(1);
  HostPort out;
  auto colon = url.rfind(':');
  if (colon != std::string_view::npos && url.ends_with(']')) colon = std::string_view::npos;  // of an IPv6 address
  if (colon != std::string_view::npos) {
    const auto digits = url.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
    if (error != std::errc{} || end != digits.data() + digits.size() || out.port < 1 || out.port > 65535) {
      return std::nullopt;
    }
    url = url.substr(0, colon);
  }
  if (url.starts_with('[') && url.ends_with(']')) url = url.substr(1, url.size() - 2);
  if (url.empty() || url.find('/') != std::string_view::npos) return std::nullopt;
  out.host = url;
  return out;
}

Result<std::string> token_in(const std::string& path) {
  const auto text = identity::read_small_file(path, identity::Privacy::kAny);
  if (!text) return tl::make_unexpected(Error(text.error()).wrap("--token-file"));
  auto token = std::string(text->view().substr(0, text->view().find_first_of(" \t\r\n")));
  if (token.empty()) return fail("--token-file: {} is empty", path);
  return token;
}

class HttpsConnection : public Connection {
 public:
  HttpsConnection(std::unique_ptr<httplib::ClientImpl> http, const HttpsServer& server)
      : http_(std::move(http)), server_(server) {}
  httplib::ClientImpl& http() override { return *http_; }
  Error no_answer(httplib::Error error) override { return server_.unreachable(error); }

 private:
  std::unique_ptr<httplib::ClientImpl> http_;
  HttpsServer server_;
};

}  // namespace

Result<std::unique_ptr<Connection>> HttpsTransport::connect() const {
  auto http = server_.open();
  if (!http) return tl::make_unexpected(http.error());
  return std::make_unique<HttpsConnection>(std::move(*http), server_);
}

Result<std::unique_ptr<httplib::ClientImpl>> HttpsServer::open() const {
  const auto place = parse_url(url);
  if (!place) return fail("--server {}: expected https://HOST:PORT", url);
  if (token_file.empty() || ca.empty()) {
    return tl::make_unexpected(Error{"--server needs --token-file and --ca",
                                     "the token says who you are, the roots who the server is: cert bundle --out FILE, "
                                     "where cfidentity runs, writes them"});
  }
  const auto token = token_in(token_file);
  if (!token) return tl::make_unexpected(token.error());
  const auto roots = identity::read_small_file(ca, identity::Privacy::kAny);
  if (!roots) return tl::make_unexpected(Error(roots.error()).wrap("--ca"));
  if (auto read = identity::read_certificates(roots->view()); !read) {
    return tl::make_unexpected(std::move(read.error()).wrap("--ca " + ca));
  }
  std::signal(SIGPIPE, SIG_IGN);  // a server that hangs up is an error in words
  auto client = std::make_unique<httplib::SSLClient>(place->host, place->port);
  if (!client->is_valid() || !identity::set_tls_profile(client->ssl_context())) return fail("cannot speak TLS");
  client->set_ca_cert_path(ca);
  client->enable_server_certificate_verification(true);
  client->set_connection_timeout(5s);
  client->set_read_timeout(15s);
  client->set_write_timeout(5s);
  client->set_bearer_token_auth(*token);
  return client;
}

Error HttpsServer::unreachable(httplib::Error error) const {
  switch (error) {
    case httplib::Error::Connection:
    case httplib::Error::ConnectionTimeout:
      return {fmt::format("cannot connect to {}", url), "is cfidentity there, with `listen` in its identity.yaml?"};
    case httplib::Error::SSLServerVerification:
      return {fmt::format("the certificate of {} is not vouched for by {}, or has another name", url, ca),
              "take the roots anew (cert bundle --out FILE, where cfidentity runs), and use a name of its "
              "listen_dns_names"};
    case httplib::Error::SSLConnection:
      return {fmt::format("{} does not speak TLS as cfidentity does", url), "is it cfidentity's `listen`?"};
    default:
      return {fmt::format("{} took the request and did not answer it", url), "see cfidentity's log and metrics"};
  }
}

}  // namespace cortexflow::cli
