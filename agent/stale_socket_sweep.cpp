// SPDX-License-Identifier: Apache-2.0
#include "agent/stale_socket_sweep.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <map>
#include <set>

#include "agent/kernel/namespaces.h"

namespace cortexflow {
namespace {

// connect() calls that chose a backend before it left have come to their end by then.
constexpr std::chrono::milliseconds kSettle{50};
constexpr auto kDestroyed = static_cast<std::size_t>(kernel::SocketEnd::kDestroyed);
constexpr auto kUnreachable = static_cast<std::size_t>(kernel::SocketEnd::kUnreachable);
constexpr auto kFailed = static_cast<std::size_t>(kernel::SocketEnd::kFailed);
// At a time; what is beyond that is found by the next pass.
constexpr std::size_t kSocketsMax = 65'536;

}  // namespace

Result<std::unique_ptr<StaleSocketSweep>> StaleSocketSweep::start(const kernel::ServiceTables& tables,
                                                                  HasLeft has_left) {
  if (auto can = kernel::try_socket_end(); !can) return tl::make_unexpected(std::move(can.error()));
  auto sockets = kernel::StaleSockets::open(tables);
  if (!sockets) return tl::make_unexpected(std::move(sockets.error()));
  return std::unique_ptr<StaleSocketSweep>(new StaleSocketSweep(std::move(*sockets), std::move(has_left)));
}

StaleSocketSweep::StaleSocketSweep(std::unique_ptr<kernel::StaleSockets> sockets, HasLeft has_left)
    : sockets_(std::move(sockets)), has_left_(std::move(has_left)), thread_([this] { run(); }) {}

StaleSocketSweep::~StaleSocketSweep() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StaleSocketSweep::request() {
  {
    const std::lock_guard lock(mutex_);
    requested_ = true;
  }
  changed_.notify_all();
}

void StaleSocketSweep::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return requested_ || stopping_; });
    if (changed_.wait_for(lock, kSettle, [this] { return stopping_; })) return;
    requested_ = false;
    lock.unlock();
    auto done = pass();
    lock.lock();
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += done.counts[i];
    if (done.more) requested_ = true;
    latest_ = std::move(done);
  }
}

StaleSocketSweep::Pass StaleSocketSweep::pass() {
  auto found = sockets_->find(kSocketsMax);
  if (!found) {
    spdlog::error("services: {}", found.error().to_string());
    return {{}, false, found.error().to_string()};
  }
  const bool full = found->size() >= kSocketsMax;
  std::erase_if(*found, [this](const auto& socket) { return !has_left_(socket); });
  if (found->empty()) return {};
  const auto counts = end(*found);
  spdlog::info("services: {} UDP sockets were connected to backends that have left, {} of them are ended",
               found->size(), counts[kDestroyed]);
  return {counts, full && counts[kDestroyed] > 0, {}};
}

StaleSocketSweep::Counts StaleSocketSweep::end(const std::vector<cf_svc_stale_socket>& sockets) {
  std::set<std::uint32_t> namespaces;
  for (const auto& socket : sockets) namespaces.insert(socket.netns);
  std::map<std::uint32_t, Fd> entered;
  for (const auto& [inode, netns] : kernel::open_netns(namespaces)) {
    auto sock_diag = kernel::open_sock_diag(netns);
    if (sock_diag) {
      entered[inode] = std::move(*sock_diag);
    } else {
      spdlog::error("services: network namespace {}: {}", inode, sock_diag.error().to_string());
    }
  }
  Counts counts{};
  for (const auto& socket : sockets) {
    const auto found = entered.find(socket.netns);
    const auto how =
        found == entered.end() ? kernel::SocketEnd::kUnreachable : kernel::end_socket(found->second, socket);
    ++counts[static_cast<std::size_t>(how)];
  }
  return counts;
}

StaleSocketSweep::Counts StaleSocketSweep::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

control::FunctionStatus StaleSocketSweep::function() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> problems;
  if (!latest_.failure.empty()) problems.push_back(latest_.failure);
  if (const auto n = latest_.counts[kUnreachable]; n > 0) {
    problems.push_back(fmt::format(
        "{} stay with a backend that has left: their network namespace can't be entered (others' need CAP_SYS_PTRACE)",
        n));
  }
  if (const auto n = latest_.counts[kFailed]; n > 0) {
    problems.push_back(fmt::format("{} stay with a backend that has left: the kernel did not end them", n));
  }
  return {kName, "SOCK_DESTROY", !problems.empty(), fmt::format("{}", fmt::join(problems, "; "))};
}

}  // namespace cortexflow
