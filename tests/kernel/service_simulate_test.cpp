// SPDX-License-Identifier: Apache-2.0
// What compile/simulate says that callers get, against what real sockets got of bpf/lib/service_choice.h.
#include <time.h>

#include <cmath>

#include "agent/base/octets.h"
#include "agent/compile/lookup.h"
#include "agent/compile/simulate.h"
#include "bpf/abi/service_cost.h"
#include "tests/kernel/mesh.h"

using namespace cortexflow;
using namespace cortexflow::test;

namespace {

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

compile::Lookup look_at(const Mesh& mesh) {
  const compile::Frontend frontend{ip(kService), 80, model::Protocol::kTcp};
  const auto find = [&](std::string_view map, const std::string& key) { return mesh.tables().find(map, key); };
  return compile::look_up(find, compile::to_abi(frontend), {}, monotonic_ns());
}

std::map<std::uint16_t, double> said(const Mesh& mesh, std::uint64_t callers, bool& exact) {
  const auto found = look_at(mesh);
  const auto simulated = compile::simulate(found, {}, false, callers);
  exact = simulated.exact;
  std::map<std::uint16_t, double> out;
  for (const auto& [number, times] : simulated.callers) out[found.backends.at(number).backend.port] = times;
  return out;
}

std::vector<std::uint64_t> chosen(const Mesh& mesh, const std::vector<Backend>& backends) {
  std::vector<std::uint64_t> out;
  for (const auto& backend : backends) out.push_back(mesh.load(backend.port()).chosen);
  return out;
}

// Calls that end at once; how many of them each backend got.
std::vector<std::uint64_t> got(const Mesh& mesh, std::vector<Backend>& backends, int calls) {
  const auto before = chosen(mesh, backends);
  for (int i = 0; i < calls; ++i) {
    REQUIRE(connected(kService, 80));
    if (i % 100 == 0) {
      for (auto& backend : backends) backend.accepted();
    }
  }
  auto out = chosen(mesh, backends);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] -= before[i];
  return out;
}

// One more than one in 1,000,000,000 times is, by chance, off by so many standard deviations.
constexpr double kSigmas = 6.2;

bool is_close(double expected, std::uint64_t count, int calls) {
  const double deviation = std::sqrt(expected * (1 - expected / calls));
  return std::abs(static_cast<double>(count) - expected) <= kSigmas * deviation + 1e-6;
}

}  // namespace

TEST_CASE("a simulation of least latency says what callers get at the latencies that there are", "[volume]") {
  struct Row {
    const char* what;
    std::vector<std::uint32_t> latencies_us;  // 0: not measured
    std::size_t slots_of_first;
  };
  const Row row = GENERATE(values<Row>({
      {"all differ", {50'000, 100'000, 200'000, 400'000}, 1},
      {"two are alike", {50'000, 100'000, 100'000, 400'000}, 1},
      {"nothing is measured", {0, 0, 0}, 1},
      {"one is new", {50'000, 0, 100'000}, 1},
      {"the dearest has most of the slots", {400'000, 100'000, 200'000}, 3},
      {"two slots: always the cheaper", {400'000, 100'000}, 1},
      {"one", {100'000}, 1},
  }));
  CAPTURE(row.what);
  Mesh mesh;
  std::vector<Backend> backends(row.latencies_us.size());
  auto plan = plan_of(backends, CF_SVC_LEAST_LATENCY);
  for (std::size_t i = 1; i < row.slots_of_first; ++i) plan.slots.push_back(plan.slots.front());
  mesh.set(plan);
  mesh.measure_nothing();  // these connections teach it nothing
  for (std::size_t i = 0; i < backends.size(); ++i) mesh.set_latency(backends[i].port(), row.latencies_us[i]);
  constexpr int kCalls = 1500;
  bool exact = true;
  auto expected = said(mesh, kCalls, exact);
  CHECK_FALSE(exact);
  const auto counts = got(mesh, backends, kCalls);
  for (std::size_t i = 0; i < backends.size(); ++i) {
    CAPTURE(i, expected[backends[i].port()], counts[i]);
    CHECK(is_close(expected[backends[i].port()], counts[i], kCalls));
  }
}

TEST_CASE("a simulation says what callers get while a backend is on probation, free or taken", "[volume]") {
  const auto algorithm = GENERATE(CF_SVC_ROUND_ROBIN, CF_SVC_RANDOM, CF_SVC_LEAST_LATENCY);
  const bool taken = GENERATE(false, true);
  const auto probed = GENERATE(std::size_t{1}, std::size_t{2});
  CAPTURE(static_cast<int>(algorithm), taken, probed);
  Mesh mesh;
  std::vector<Backend> backends(4);
  auto plan = plan_of(backends, algorithm);
  for (std::size_t i = 0; i < probed; ++i) plan.probation.insert(plan.slots[i]);
  mesh.set(plan);
  mesh.measure_nothing();
  std::vector<Fd> held;
  const auto all_taken = [&] {
    for (std::size_t i = 0; i < probed; ++i) {
      if (mesh.load(backends[i].port()).active == 0) return false;
    }
    return true;
  };
  while (taken && !all_taken()) {
    REQUIRE(held.size() < 1000);
    held.push_back(connected(kService, 80));
  }
  for (std::size_t i = 0; i < backends.size(); ++i) mesh.set_latency(backends[i].port(), 100'000);
  constexpr int kCalls = 1000;
  bool exact = true;
  auto expected = said(mesh, kCalls, exact);
  CHECK_FALSE(exact);
  const auto counts = got(mesh, backends, kCalls);
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const auto one = expected[backends[i].port()];
    CAPTURE(i, one, counts[i]);
    CHECK((algorithm == CF_SVC_ROUND_ROBIN ? static_cast<double>(counts[i]) == one : is_close(one, counts[i], kCalls)));
  }
}

TEST_CASE("a simulation says what the limit of pending connections refuses, and the next call is then refused") {
  Mesh mesh;
  std::vector<Backend> backends(1);
  auto plan = plan_of(backends);
  plan.circuit_breaker.max_pending = 3;
  mesh.set(plan);
  CHECK(compile::simulate(look_at(mesh), {}, false, 10).pending_refuses == 7);
  CHECK(compile::simulate(look_at(mesh), {}, false, 10).breaker_refuses == 0);
  mesh.set_pending(3);
  CHECK(look_at(mesh).verdict == compile::Verdict::kPending);
  CHECK_FALSE(connected(kService, 80));
  mesh.measure_nothing();  // nobody follows connections: there is no such limit
  CHECK(look_at(mesh).verdict == compile::Verdict::kTranslated);
  CHECK(connected(kService, 80));
}
