// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/pod_exec.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <random>

#include "agent/source/kubernetes/curl_request.h"
#include "agent/source/kubernetes/json_text.h"

namespace cortexflow::source {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kAnswerMax = 64 << 10;  // octets of a handshake's answer
constexpr std::size_t kSaidMax = 4 << 10;
constexpr std::array<std::string_view, 2> kProtocols{"v5.channel.k8s.io", "v4.channel.k8s.io"};
// The first octet of each message (k8s.io/apimachinery/pkg/util/remotecommand).
enum Channel : char { kStdin = 0, kStdout = 1, kStderr = 2, kStatus = 3 };

std::uint32_t random_word() {
  static thread_local std::random_device device;
  return device();
}

// 16 octets in base64, of which the last digit bears 2 bits alone.
std::string websocket_key() {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (int i = 0; i < 21; ++i) out += kDigits[random_word() % kDigits.size()];
  return out + "A==";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

std::string header_of(std::string_view head, std::string_view name) {
  const auto wanted = fmt::format("\r\n{}:", name);
  const auto all = lower(head);
  const auto at = all.find(wanted);
  if (at == std::string::npos) return {};
  auto value = head.substr(at + wanted.size());
  value = value.substr(0, value.find('\r'));
  const auto first = value.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string() : std::string(value.substr(first));
}

}  // namespace

struct PodExec::Connection : CurlRequest {
  std::string server;
  Clock::time_point until;  // of the handshake
  curl_socket_t socket = CURL_SOCKET_BAD;

  // Nothing: none are there now.  Empty: the end.
  Result<std::optional<std::string>> receive() {
    std::array<char, 16384> buffer{};
    std::size_t got = 0;
    const auto code = curl_easy_recv(handle.get(), buffer.data(), buffer.size(), &got);
    if (code == CURLE_AGAIN) return std::nullopt;
    if (code != CURLE_OK) return fail("{}", failure(server, code));
    return std::string(buffer.data(), got);
  }

  Result<void> send_all(std::string_view octets) {
    while (!octets.empty()) {
      std::size_t sent = 0;
      const auto code = curl_easy_send(handle.get(), octets.data(), octets.size(), &sent);
      if (code == CURLE_AGAIN) {
        pollfd waits{socket, POLLOUT, 0};
        constexpr int kStallMax = 10'000;  // ms
        if (poll(&waits, 1, kStallMax) == 0) return fail("{} takes nothing more", server);
        continue;
      }
      if (code != CURLE_OK) return fail("{}", failure(server, code));
      octets.remove_prefix(sent);
    }
    return {};
  }

  // In the handshake.
  Result<std::string> wait_and_receive() {
    while (true) {
      auto octets = receive();
      if (!octets) return tl::make_unexpected(octets.error());
      if (*octets) return **octets;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
      pollfd waits{socket, POLLIN, 0};
      if (left.count() <= 0 || poll(&waits, 1, static_cast<int>(left.count())) == 0) {
        return fail("{} did not start the program in time", server);
      }
    }
  }
};

PodExec::PodExec(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
PodExec::~PodExec() = default;

Result<std::unique_ptr<PodExec>> PodExec::open(const ApiAccess& access, const Credential& credential,
                                               const ExecTarget& target, std::chrono::milliseconds time_max) {
  auto connection = std::make_unique<Connection>();
  connection->server = access.servers.front();
  connection->until = Clock::now() + time_max;
  connection->aim(access, connection->server, credential, "/");
  CURL* const curl = connection->handle.get();
  curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(time_max.count()));
  if (const auto code = curl_easy_perform(curl); code != CURLE_OK) {
    return fail("{}", connection->failure(connection->server, code));
  }
  curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &connection->socket);
  std::unique_ptr<PodExec> out(new PodExec(std::move(connection)));
  if (auto done = out->shake_hands(access, credential, target); !done) return tl::make_unexpected(done.error());
  return out;
}

Result<void> PodExec::shake_hands(const ApiAccess& access, const Credential& credential, const ExecTarget& target) {
  const auto url = parse_server_url(connection_->server);
  auto request = fmt::format("GET {}/api/v1/namespaces/{}/pods/{}/exec?container={}&stdin=true&stdout=true&stderr=true",
                             url.path, escaped(target.pod_namespace), escaped(target.pod), escaped(target.container));
  for (const auto& word : target.command) request += "&command=" + escaped(word);
  request += fmt::format(
      " HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: {}\r\n",
      url.host, url.port, access.user_agent, websocket_key(), fmt::join(kProtocols, ", "));
  if (!credential.token.empty()) request += fmt::format("Authorization: Bearer {}\r\n", credential.token);
  if (auto sent = connection_->send_all(request + "\r\n"); !sent) return sent;

  std::string answer;
  std::size_t end = std::string::npos;
  while ((end = answer.find("\r\n\r\n")) == std::string::npos) {
    const auto more = connection_->wait_and_receive();
    if (!more) return tl::make_unexpected(more.error());
    if (more->empty() || answer.size() > kAnswerMax) return fail("{} answered nonsense", connection_->server);
    answer += *more;
  }
  const auto head = std::string_view(answer).substr(0, end + 2);
  const auto first_line = head.substr(0, head.find('\r'));
  if (first_line.find(" 101 ") == std::string_view::npos) {
    std::string body = answer.substr(end + 4);
    const auto length = header_of(head, "content-length");
    const auto wanted = length.size() > 5 ? kAnswerMax : static_cast<std::size_t>(std::atoi(length.c_str()));
    while (body.size() < std::min(wanted, kAnswerMax)) {
      const auto more = connection_->wait_and_receive();
      if (!more || more->empty()) break;
      body += *more;
    }
    auto words = status_text(body, "message");
    if (words.empty()) words = std::string(first_line);
    std::string next;
    if (first_line.find(" 403") != std::string_view::npos) {
      next = fmt::format("you need the verbs get and create on pods/exec in the namespace {}", target.pod_namespace);
    } else if (first_line.find(" 401") != std::string_view::npos) {
      next = "log in anew: the server does not take this kubeconfig's credentials";
    }
    return tl::make_unexpected(Error{words, next});
  }
  // The protocol's name, sent back, shows that the server knows what it took; that's what the key's hash is for
  // elsewhere.
  const auto protocol = header_of(head, "sec-websocket-protocol");
  if (std::find(kProtocols.begin(), kProtocols.end(), protocol) == kProtocols.end()) {
    return fail("{} speaks \"{}\" over WebSocket, not {}", connection_->server, protocol,
                fmt::join(kProtocols, " or "));
  }
  reader_.feed(std::string_view(answer).substr(end + 4));
  return {};
}

Result<void> PodExec::take(const WebsocketReader::Message& message, int fd) {
  if (message.opcode == Opcode::kPing) {
    return connection_->send_all(websocket_frame(Opcode::kPong, message.payload, random_word()));
  }
  if (message.opcode == Opcode::kClose) closed_ = true;
  const bool data = message.opcode == Opcode::kBinary || message.opcode == Opcode::kText;
  if (!data || message.payload.empty()) return {};
  auto octets = std::string_view(message.payload).substr(1);
  switch (message.payload.front()) {
    case kStdout:
      while (!octets.empty() && !closed_) {
        const auto sent = send(fd, octets.data(), octets.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        closed_ = sent <= 0;  // nobody reads any more
        if (!closed_) octets.remove_prefix(static_cast<std::size_t>(sent));
      }
      break;
    case kStderr:
      said_ += octets.substr(0, kSaidMax - std::min(kSaidMax, said_.size()));
      break;
    case kStatus:
      status_ += octets.substr(0, kSaidMax - std::min(kSaidMax, status_.size()));
      closed_ = true;
      break;
    default:
      break;
  }
  return {};
}

Result<void> PodExec::ended() const {
  if (status_text(status_, "status") != "Failure" && said_.empty()) return {};
  auto words = said_.substr(0, said_.find_last_not_of(" \r\n") + 1);
  if (words.empty()) words = status_text(status_, "message");
  return fail("{}", words);
}

Result<void> PodExec::carry(int fd) {
  while (true) {
    for (auto message = reader_.next();; message = reader_.next()) {
      if (!message) return tl::make_unexpected(message.error());
      if (!*message) break;
      if (auto taken = take(**message, fd); !taken) return taken;
    }
    if (closed_) return ended();
    auto octets = connection_->receive();
    if (!octets) return tl::make_unexpected(octets.error());
    if (*octets) {
      if ((*octets)->empty()) return ended();
      reader_.feed(**octets);
      continue;
    }
    std::array<pollfd, 2> waits{pollfd{connection_->socket, POLLIN, 0}, pollfd{fd, POLLIN, 0}};
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return fail_errno("cannot wait", errno);
    if (waits[1].revents == 0) continue;
    std::array<char, 16384> buffer{};
    buffer[0] = kStdin;
    const auto got = recv(fd, buffer.data() + 1, buffer.size() - 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) {
      (void)connection_->send_all(websocket_frame(Opcode::kClose, {}, random_word()));
      return ended();
    }
    const std::string_view message(buffer.data(), static_cast<std::size_t>(got) + 1);
    if (auto sent = connection_->send_all(websocket_frame(Opcode::kBinary, message, random_word())); !sent) return sent;
  }
}

}  // namespace cortexflow::source
