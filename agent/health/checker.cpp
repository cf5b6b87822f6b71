// SPDX-License-Identifier: Apache-2.0
#include "agent/health/checker.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "agent/base/thread.h"

namespace cortexflow::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kLate = std::chrono::seconds(1);
constexpr int kEvents = 64;
// What becomes due within this time is begun together: fewer wake-ups for thousands of targets.
constexpr auto kGather = milliseconds(10);

// Of an eventfd: it fails only where the count is full, and then it is readable already.
void signal(const Fd& fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(fd.get(), &one, sizeof one);
}

void reset(const Fd& fd) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(fd.get(), &count, sizeof count);
}

}  // namespace

Result<std::unique_ptr<Checker>> Checker::start(std::size_t max_in_flight) {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  Fd changed(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Fd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !changed || !wake) return fail_errno("cannot make the health checks' event loop", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake.get();
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0)
    return fail_errno("cannot watch the health checks' event loop", errno);
  std::unique_ptr<Checker> checker(new Checker(max_in_flight, std::move(epoll), std::move(changed), std::move(wake)));
  auto thread = start_thread([raw = checker.get()] { raw->run(); });
  if (!thread) return tl::make_unexpected(std::move(thread.error()).wrap("health checks"));
  checker->thread_ = std::move(*thread);
  return checker;
}

Checker::Checker(std::size_t max_in_flight, Fd epoll, Fd changed, Fd wake)
    : max_in_flight_(max_in_flight),
      epoll_(std::move(epoll)),
      changed_(std::move(changed)),
      wake_(std::move(wake)),
      table_(std::random_device{}()) {}

Checker::~Checker() {
  stopping_ = true;
  signal(wake_);
  if (thread_.joinable()) thread_.join();
}

bool Checker::add(const Target& target, std::optional<TargetState> begins) {
  const auto now = steady_clock::now();
  const std::lock_guard lock(mutex_);
  const auto next = table_.next_due();
  const bool added = table_.add(target, now, std::move(begins));
  if (added && (!next || table_.next_due() < next)) signal(wake_);
  return added;
}

void Checker::remove(const Target& target) {
  const std::lock_guard lock(mutex_);
  table_.remove(target);
}

std::optional<TargetState> Checker::find(const Target& target) const {
  const std::lock_guard lock(mutex_);
  return table_.find(target);
}

std::set<Target> Checker::take_changes() {
  const std::lock_guard lock(mutex_);
  if (!changes_.empty()) reset(changed_);
  return std::exchange(changes_, {});
}

Figures Checker::figures() const {
  Figures out;
  std::copy(results_.begin(), results_.end(), out.results.begin());
  out.late = late_;
  out.in_flight = in_flight_;
  out.in_flight_max = max_in_flight_;
  const std::lock_guard lock(mutex_);
  out.targets = table_.size();
  out.unhealthy = table_.unhealthy();
  out.unknown = table_.unknown();
  return out;
}

void Checker::run() {
  std::array<epoll_event, kEvents> events{};
  while (!stopping_) {
    const auto n = epoll_wait(epoll_.get(), events.data(), kEvents, wait_ms(steady_clock::now()));
    const auto now = steady_clock::now();
    for (int i = 0; i < n; ++i) {
      const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
      if (fd == wake_.get()) {
        reset(wake_);
      } else {
        go_on(fd, now);
      }
    }
    end_overdue(now);
    begin_due(now);
  }
}

int Checker::wait_ms(Time now) const {
  std::optional<Time> next;
  if (!deadlines_.empty()) next = deadlines_.begin()->first;
  if (flights_.size() < max_in_flight_) {
    const std::lock_guard lock(mutex_);
    if (auto due = table_.next_due()) {
      due = std::max(*due, now + kGather);
      if (!next || *due < *next) next = due;
    }
  }
  if (!next) return -1;
  if (*next <= now) return 0;
  return static_cast<int>(std::chrono::ceil<milliseconds>(*next - now).count());  // an interval is an hour at most
}

void Checker::begin_due(Time now) {
  while (flights_.size() < max_in_flight_) {
    const auto due = [&] {
      const std::lock_guard lock(mutex_);
      return table_.take_due(now);
    }();
    if (!due) return;
    if (now - due->second > kLate) ++late_;
    Probe probe(due->first);
    if (auto ended = probe.start()) {
      note(due->first, std::move(*ended), now);
      continue;
    }
    const int fd = probe.fd();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      note(due->first, {CheckResult::kNotAsked, std::strerror(errno)}, now);
      continue;
    }
    const auto deadline = now + due->first.check.timeout;
    deadlines_.emplace(deadline, fd);
    flights_.emplace(fd, Flight{std::move(probe), deadline});
    in_flight_ = flights_.size();
  }
}

void Checker::end_overdue(Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto flight = flights_.find(deadlines_.begin()->second);
    end(flight, flight->second.probe.timed_out(), now);
  }
}

void Checker::go_on(int fd, Time now) {
  const auto flight = flights_.find(fd);
  if (flight == flights_.end()) return;
  if (auto ended = flight->second.probe.go_on()) end(flight, std::move(*ended), now);
}

void Checker::end(Flights::iterator flight, Outcome outcome, Time now) {
  const auto target = flight->second.probe.target();
  deadlines_.erase({flight->second.deadline, flight->first});
  flights_.erase(flight);  // closes the socket, which takes it out of the epoll
  in_flight_ = flights_.size();
  note(target, std::move(outcome), now);
}

void Checker::note(const Target& target, Outcome outcome, Time now) {
  ++results_.at(static_cast<std::size_t>(outcome.result));
  const std::lock_guard lock(mutex_);
  if (!table_.note(target, std::move(outcome), now)) return;
  changes_.insert(target);
  signal(changed_);
}

}  // namespace cortexflow::health
