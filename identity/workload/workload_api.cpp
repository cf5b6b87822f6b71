// SPDX-License-Identifier: Apache-2.0
#include "identity/workload/workload_api.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <filesystem>

#include "agent/control/unix_socket.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kWorkers = 8;  // they wait for the disk, and share a sync
constexpr int kBacklog = 1024;
constexpr int kEventsAtOnce = 256;
constexpr std::chrono::milliseconds kTick = 1s;           // the system's clock may jump
constexpr std::chrono::milliseconds kTrustEvery = 250ms;  // many revocations are told together
constexpr std::chrono::seconds kTrustRetry = 10s;
constexpr std::chrono::hours kListsRefreshed{12};  // they hold for 24 h
constexpr std::chrono::seconds kSweepEvery = 5s;

}  // namespace

WorkloadApi::WorkloadApi(Issuer& issuer, std::string socket_path, WorkloadLimits limits)
    : issuer_(issuer), socket_path_(std::move(socket_path)), limits_(limits) {}

WorkloadApi::~WorkloadApi() { stop(); }

Result<void> WorkloadApi::listen() {
  const control::SocketOwner owner{"workload_api_socket", "cfidentity", "cfidentity"};
  if (auto claimed = control::claim_socket_path(socket_path_, owner); !claimed) return claimed;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_path_.copy(address.sun_path, sizeof address.sun_path - 1);
  listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t before = umask(0111);  // everybody may ask; who it is decides what they get
  const bool bound = bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error = errno;
  umask(before);
  if (!bound || ::listen(listener_.get(), kBacklog) != 0) {
    return fail_errno(fmt::format("cannot listen on {}", socket_path_), bound ? errno : error,
                      "check workload_api_socket");
  }
  return {};
}

Result<void> WorkloadApi::start() {
  auto trust = make_trust(issuer_);
  if (!trust) return tl::make_unexpected(std::move(trust.error().error));
  trust_ = std::move(*trust);
  figures_.lists_fit = trust_.lists_fit;
  if (auto listening = listen(); !listening) return listening;
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event listener{EPOLLIN, {.u64 = 0}};
  epoll_event wake{EPOLLIN, {.u64 = 1}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &listener) != 0 ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &wake) != 0) {
    return fail_errno("cannot wait for connections", errno);
  }
  workers_ = std::make_unique<Workers>(kWorkers);
  loop_ = std::thread([this] { run(); });
  return {};
}

void WorkloadApi::stop() {
  if (!loop_.joinable()) return;
  stopping_ = true;
  post([] {});
  loop_.join();
  workers_.reset();
  listener_ = Fd();
  std::error_code ignored;
  std::filesystem::remove(socket_path_, ignored);
}

void WorkloadApi::post(std::function<void()> action) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(action));
  }
  const std::uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) < 0) return;  // it is awake already
}

void WorkloadApi::changed(Issuer::Change what) {
  changes_ |= 1U << static_cast<unsigned>(what);
  if (wake_) post([] {});
}

WorkloadFigures WorkloadApi::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void WorkloadApi::run() {
  std::array<epoll_event, kEventsAtOnce> events{};
  while (!stopping_) {
    const auto wait = trust_again_ ? kTrustEvery : kTick;
    const int count = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, static_cast<int>(wait.count()));
    for (int i = 0; i < count; ++i) {
      const auto& event = events.at(static_cast<std::size_t>(i));
      if (event.data.u64 == 0) {
        accept_all();
      } else if (event.data.u64 == 1) {
        std::uint64_t times = 0;
        if (read(wake_.get(), &times, sizeof times) < 0) continue;
      } else {
        serve(event.data.u64, event.events);
      }
    }
    do_posted();
    review();
    renew_due();
    if (Clock::now() - swept_ >= kSweepEvery) sweep();
  }
  drain();
}

void WorkloadApi::do_posted() {
  std::vector<std::function<void()>> actions;
  {
    const std::lock_guard lock(mutex_);
    actions.swap(posted_);
  }
  for (const auto& action : actions) action();
}

void WorkloadApi::review() {
  const unsigned changes = changes_.exchange(0);
  const auto has = [changes](Issuer::Change one) { return (changes >> static_cast<unsigned>(one) & 1U) != 0; };
  const bool mapping = has(Issuer::Change::kMapping);
  const bool revoked = has(Issuer::Change::kRevocations);
  if (mapping || revoked) {
    const auto is_gone = [this](const std::string& serial) { return is_revoked(serial); };
    for (auto& [id, connection] : connections_) {
      for (auto& [stream, watch] : connection.watches) {
        if ((revoked && watch.outdate(is_gone)) || mapping) look({id, stream}, connection, watch);
      }
    }
  }
  const auto age = issuer_.now() - trust_.made;
  if (revoked || has(Issuer::Change::kAuthorities) || age >= kListsRefreshed || age < 0s) trust_again_ = true;
  if (trust_again_) refresh_trust();
}

void WorkloadApi::refresh_trust() {
  const auto now = Clock::now();
  if (trust_asked_ || now - trust_at_ < kTrustEvery) return;
  trust_asked_ = true;
  trust_again_ = false;
  trust_at_ = now;
  workers_->add_first([this] {
    auto made = std::make_shared<Answer<Trust>>(make_trust(issuer_));
    post([this, made] {
      trust_asked_ = false;
      if (*made) return apply(std::move(**made));
      count([](WorkloadFigures& figures) { ++figures.failed; });
      trust_again_ = true;
      trust_at_ = Clock::now() + kTrustRetry - kTrustEvery;
    });
  });
}

void WorkloadApi::apply(Trust trust) {
  const bool same = trust.data.bundle == trust_.data.bundle && *trust.data.bundle_lists == *trust_.data.bundle_lists;
  trust_ = std::move(trust);
  count([this](WorkloadFigures& figures) { figures.lists_fit = trust_.lists_fit; });
  if (same) return;
  std::vector<std::uint64_t> ids;
  for (auto& [id, connection] : connections_) {
    for (auto& [stream, watch] : connection.watches) {
      watch.untold = true;
      tell(stream, connection, watch);
    }
    if (!connection.watches.empty()) ids.push_back(id);
  }
  for (const auto id : ids) pump_or_drop(id);
}

void WorkloadApi::renew_due() {
  const auto now = issuer_.now();
  while (!renewals_.empty() && renewals_.begin()->first <= now) {
    const auto key = renewals_.begin()->second;
    renewals_.erase(renewals_.begin());
    const auto connection = connections_.find(key.connection);
    if (connection == connections_.end()) continue;
    const auto watch = connection->second.watches.find(key.stream);
    if (watch == connection->second.watches.end()) continue;
    watch->second.due.reset();
    look(key, connection->second, watch->second);
  }
}

}  // namespace cortexflow::identity
