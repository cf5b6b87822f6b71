// SPDX-License-Identifier: Apache-2.0
// The checker against real servers on loopback.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>

#include "agent/health/checker.h"

using namespace cortexflow;
using namespace cortexflow::health;
using namespace std::chrono_literals;

namespace {

constexpr auto kPatience = 20s;

// Listens on 127.0.0.1; `serve` is called with each connection, on a thread of its own.
class LocalServer {
 public:
  explicit LocalServer(std::function<void(int)> serve, int backlog = 64)
      : serve_(std::move(serve)), socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(listen(socket_.get(), backlog) == 0);
    REQUIRE(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    port_ = ntohs(at.sin_port);
    if (serve_) thread_ = std::thread([this] { run(); });
  }
  ~LocalServer() {
    shutdown(socket_.get(), SHUT_RDWR);  // accept() returns
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void run() {
    for (;;) {
      const Fd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection) return;
      serve_(connection.get());
    }
  }

  std::function<void(int)> serve_;
  Fd socket_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// Until the client has said everything, and then until it hangs up.
void read_request(int fd) {
  std::string request;
  char octets[512];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const auto got = recv(fd, octets, sizeof octets, 0);
    if (got <= 0) return;
    request.append(octets, static_cast<std::size_t>(got));
  }
}

void say(int fd, std::string_view text) { (void)!send(fd, text.data(), text.size(), MSG_NOSIGNAL); }

void await_hang_up(int fd) {
  char octets[512];
  while (recv(fd, octets, sizeof octets, 0) > 0) continue;
}

Target target(std::uint16_t port, model::HealthCheckType type) {
  Target made;
  made.address = *model::IpAddress::parse("127.0.0.1");
  made.port = port;
  made.check.type = type;
  made.check.interval = 20ms;
  made.check.timeout = 20ms;
  made.check.healthy_threshold = made.check.unhealthy_threshold = 2;
  return made;
}

std::unique_ptr<Checker> start(std::size_t in_flight = 8) {
  auto checker = Checker::start(in_flight);
  REQUIRE(checker);
  return std::move(*checker);
}

// Waits for changes until `done`.
template <typename Done>
void await_change(Checker& checker, Done done) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    pollfd waiting{checker.fd(), POLLIN, 0};
    poll(&waiting, 1, 20);
    (void)checker.take_changes();
  }
}

TargetState await_health(Checker& checker, const Target& of, Health health) {
  TargetState state;
  await_change(checker, [&] {
    state = *checker.find(of);
    return state.health == health;
  });
  return state;
}

}  // namespace

TEST_CASE("a backend's behaviour decides what it counts as, and the latest result says why") {
  struct Row {
    const char* sentence;
    model::HealthCheckType type;
    std::function<void(int)> serve;  // none: connections wait in the queue
    std::chrono::milliseconds timeout;
    Health health;
    CheckResult result;
    const char* words;
  };
  using Type = model::HealthCheckType;
  const auto answer = [](const char* text) {
    return [text](int fd) {
      read_request(fd);
      say(fd, text);
    };
  };
  const Row rows[]{
      {"TCP: it listens", Type::kTcp, {}, 20ms, Health::kHealthy, CheckResult::kHealthy, "connected"},
      {"TCP: it hangs up at once, but it was there", Type::kTcp, [](int) {}, 20ms, Health::kHealthy,
       CheckResult::kHealthy, "connected"},
      {"200", Type::kHttp, answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 1000ms, Health::kHealthy,
       CheckResult::kHealthy, "status 200"},
      {"500", Type::kHttp, answer("HTTP/1.1 500 Oops\r\n\r\n"), 1000ms, Health::kUnhealthy, CheckResult::kStatus,
       "status 500, expected 200-399"},
      {"a redirect is an answer", Type::kHttp, answer("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n"),
       1000ms, Health::kHealthy, CheckResult::kHealthy, "status 302"},
      {"an answer in pieces", Type::kHttp,
       [](int fd) {
         read_request(fd);
         for (const char octet : std::string_view("HTTP/1.1 200 OK\r\n\r\n")) say(fd, {&octet, 1});
       },
       1000ms, Health::kHealthy, CheckResult::kHealthy, "status 200"},
      {"an answer that nobody has to ask for", Type::kHttp,
       [](int fd) {
         say(fd, "HTTP/1.1 200 OK\r\n\r\n");
         await_hang_up(fd);
       },
       1000ms, Health::kHealthy, CheckResult::kHealthy, "status 200"},
      {"garbage", Type::kHttp, answer("\x15\x03\x03 hello"), 1000ms, Health::kUnhealthy, CheckResult::kProtocol,
       "the answer is not HTTP/1"},
      {"closed early", Type::kHttp, read_request, 1000ms, Health::kUnhealthy, CheckResult::kClosed,
       "closed without an answer"},
      {"closed within the answer", Type::kHttp, answer("HTTP/1.1 2"), 1000ms, Health::kUnhealthy, CheckResult::kClosed,
       "closed without an answer"},
      {"silent", Type::kHttp, await_hang_up, 20ms, Health::kUnhealthy, CheckResult::kTimeout, "no answer within 20 ms"},
      {"too slow: it begins in time and doesn't end", Type::kHttp,
       [](int fd) {
         read_request(fd);
         say(fd, "HTTP/1.1 ");
         await_hang_up(fd);
       },
       20ms, Health::kUnhealthy, CheckResult::kTimeout, "no answer within 20 ms"},
      {"reset", Type::kHttp,
       [](int fd) {
         read_request(fd);
         const linger at_once{1, 0};
         setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
       },
       1000ms, Health::kUnhealthy, CheckResult::kClosed, "connection reset"},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    const LocalServer server(row.serve);
    auto checker = start();
    auto asked = target(server.port(), row.type);
    asked.check.timeout = row.timeout;
    REQUIRE(checker->add(asked));
    const auto state = await_health(*checker, asked, row.health);
    CHECK(state.last->result == row.result);
    CHECK(state.last->words == row.words);
    CHECK(checker->figures().results.at(static_cast<std::size_t>(row.result)) > 0);
  }
}

TEST_CASE("a port that nobody listens on is refused; who comes to listen there is healthy, and a change is told") {
  auto server = std::make_unique<LocalServer>(nullptr);
  auto checker = start();
  const auto asked = target(server->port(), model::HealthCheckType::kTcp);
  REQUIRE(checker->add(asked));
  await_health(*checker, asked, Health::kHealthy);
  server.reset();
  pollfd waiting{checker->fd(), POLLIN, 0};
  REQUIRE(poll(&waiting, 1, 20000) == 1);
  CHECK(checker->take_changes() == std::set{asked});
  const auto state = checker->find(asked);
  CHECK(state->health == Health::kUnhealthy);
  CHECK(state->last->words == "connection refused");
  CHECK(checker->take_changes().empty());
  CHECK(poll(&waiting, 1, 0) == 0);
}

TEST_CASE("no more are asked at a time than allowed, and all have their turn") {
  const LocalServer silent(await_hang_up);
  auto checker = start(2);
  std::vector<Target> all;
  for (std::uint32_t i = 1; i <= 12; ++i) {
    auto one = target(silent.port(), model::HealthCheckType::kHttp);
    one.check.unhealthy_threshold = i;  // makes it another target
    REQUIRE(checker->add(one));
    all.push_back(one);
  }
  std::size_t most = 0;
  await_change(*checker, [&] {
    most = std::max(most, checker->figures().in_flight);
    return std::all_of(all.begin(), all.end(),
                       [&](const auto& one) { return checker->find(one)->health == Health::kUnhealthy; });
  });
  CHECK(most <= 2);
  CHECK(checker->figures().in_flight_max == 2);
}

TEST_CASE("a target that is taken out in the middle of its check is not heard of again") {
  const LocalServer silent(await_hang_up);
  auto checker = start();
  auto asked = target(silent.port(), model::HealthCheckType::kHttp);
  asked.check.unhealthy_threshold = 1;
  asked.check.timeout = asked.check.interval = 200ms;
  REQUIRE(checker->add(asked));
  await_change(*checker, [&] { return checker->figures().in_flight == 1; });
  checker->remove(asked);
  await_change(*checker, [&] { return checker->figures().in_flight == 0; });
  CHECK_FALSE(checker->find(asked));
  CHECK(checker->take_changes().empty());
}

TEST_CASE("a checker ends at once, with checks in flight") {
  const LocalServer silent(await_hang_up);
  auto checker = start();
  auto asked = target(silent.port(), model::HealthCheckType::kHttp);
  asked.check.interval = 100ms;
  asked.check.timeout = 3'600'000ms;
  REQUIRE(checker->add(asked));
  await_change(*checker, [&] { return checker->figures().in_flight == 1; });
  checker.reset();
  SUCCEED();
}
