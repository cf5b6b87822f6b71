// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <thread>

#include "agent/http/workers.h"

using namespace cortexflow::http;

TEST_CASE("connections that no thread is free for wait up to a limit, then their taker does, and none is lost") {
  auto workers = Workers::start(1);
  REQUIRE(workers);
  std::promise<void> held, taken;
  std::atomic<std::size_t> served{0}, enqueued{0};
  (*workers)->enqueue([&, until = held.get_future().share()] {
    taken.set_value();
    until.wait();
    ++served;
  });
  taken.get_future().wait();
  constexpr std::size_t kMore = Workers::kQueueMax + 100;
  std::promise<void> full;
  std::thread taker([&] {
    for (std::size_t i = 0; i < kMore; ++i) {
      (*workers)->enqueue([&] { ++served; });
      if (++enqueued == Workers::kQueueMax) full.set_value();
    }
  });
  full.get_future().wait();
  // The next one can't be through, however long this takes.
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  CHECK(enqueued == Workers::kQueueMax);
  held.set_value();
  taker.join();
  (*workers)->finish(std::chrono::minutes(1));
  CHECK(served == kMore + 1);
}
