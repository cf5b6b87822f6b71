// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/simulate.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace cortexflow::compile {
namespace {

constexpr std::uint64_t kStepsMax = 10'000'000;
constexpr int kTries = 3;  // CHOICE_TRIES of bpf/lib/service_choice.h

// Callers one after the other, each as choose() in bpf/lib/service_choice.h serves it.
class Calls {
 public:
  // A slot by whose turn it is.
  using Pick = std::function<std::size_t(std::uint64_t cursor)>;

  // `stay`: each stays connected; else each ends before the next.
  Calls(const Lookup& lookup, bool stay)
      : stay_(stay), connects_(lookup.connects), keeps_(lookup.service.affinity_s != 0), cursor_(lookup.cursor) {
    std::map<std::uint32_t, std::size_t> places;
    for (const auto& [number, backend] : lookup.backends) {
      places[number] = backends_.size();
      backends_.push_back({number, backend.usable, backend.on_probation(), backend.unreachable, backend.active, 0});
    }
    for (const auto number : lookup.slots) {
      const auto place = places.find(number);
      slots_.push_back(place == places.end() ? std::nullopt : std::optional(place->second));
    }
    if (lookup.kept != 0) kept_ = places.at(lookup.kept);
  }

  [[nodiscard]] std::size_t slots() const { return slots_.size(); }
  [[nodiscard]] std::uint64_t active_in(std::size_t slot) const {
    return slots_[slot] ? backends_[*slots_[slot]].active : UINT64_MAX;
  }

  // `same`: one caller, which keeps its backend where the service has affinity.
  void run(const Pick& pick, bool same, std::uint64_t callers) {
    for (std::uint64_t i = 0; i < callers; ++i) {
      if (!same) kept_.reset();
      const auto got = one(pick);
      if (!got || backends_[*got].unreachable) {
        ++refused_;
        continue;
      }
      ++backends_[*got].callers;
      if (stay_) ++backends_[*got].active;
    }
  }

  void tell(Simulation& out) const {
    out.refused = static_cast<double>(refused_);
    for (const auto& backend : backends_) {
      if (backend.callers != 0) out.callers[backend.number] = static_cast<double>(backend.callers);
    }
  }

 private:
  struct Backend {
    std::uint32_t number;
    bool usable, probation, unreachable;
    std::uint64_t active, callers;
  };

  std::optional<std::size_t> one(const Pick& pick) {
    bool in_turn = false;
    for (int i = 0; i < kTries; ++i) {
      const auto turn = cursor_++;
      auto got = keeps_ && !in_turn ? kept_ : std::nullopt;
      if (!got) got = slots_[in_turn ? turn % slots_.size() : pick(turn)];
      if (!got || !backends_[*got].usable) continue;
      if (connects_ && i + 1 < kTries && backends_[*got].probation && backends_[*got].active != 0) {
        in_turn = true;
        continue;
      }
      kept_ = got;
      return got;
    }
    return std::nullopt;
  }

  bool stay_, connects_, keeps_;
  std::uint64_t cursor_;
  std::uint64_t refused_ = 0;
  std::vector<Backend> backends_;
  std::vector<std::optional<std::size_t>> slots_;  // a place in backends_; none: the slot leads nowhere
  std::optional<std::size_t> kept_;
};

std::size_t fewest_connections(const Calls& calls, std::uint64_t start) {
  auto best = start % calls.slots();
  auto fewest = UINT64_MAX;
  for (std::uint64_t i = 0; i < CF_SVC_LEAST_SCAN && i < calls.slots(); ++i) {
    const auto slot = (start + i) % calls.slots();
    if (calls.active_in(slot) >= fewest) continue;
    fewest = calls.active_in(slot);
    best = slot;
  }
  return best;
}

using Chances = std::vector<double>;  // by slot; their sum is 1

Chances even(const Lookup& lookup) {
  return Chances(lookup.slots.size(), 1.0 / static_cast<double>(lookup.slots.size()));
}

// Of each slot, that it is one of the two which least_latency() draws, and the one that costs less.
Chances of_two(const Lookup& lookup) {
  const auto size = lookup.slots.size();
  if (size == 1) return {1.0};
  std::vector<std::uint64_t> costs;
  for (const auto number : lookup.slots) {
    const auto found = lookup.backends.find(number);
    costs.push_back(found == lookup.backends.end() ? UINT64_MAX : found->second.cost);
  }
  auto sorted = costs;
  std::sort(sorted.begin(), sorted.end());
  Chances out;
  const double pairs = static_cast<double>(size) * static_cast<double>(size - 1);
  for (const auto cost : costs) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), cost);
    const auto equal = static_cast<double>(last - first - 1), dearer = static_cast<double>(sorted.end() - last);
    out.push_back((2 * dearer + equal) / pairs);
  }
  return out;
}

bool is_taken(const Lookup& lookup, std::uint32_t number) {
  const auto found = lookup.backends.find(number);
  return found != lookup.backends.end() && found->second.on_probation() && found->second.active != 0;
}

// How many of the callers each slot gets.  A backend on probation that has its connection passes the caller on to the
// slot whose turn it is; one that can't take it either, to the slot behind that.  Turns are no lot: each try takes one,
// so which slots are met depends on how the calls before went.  Followed call by call, as chances of where the cursor
// stands; what the first calls get in the mean, the others get too.
Chances shares(const Lookup& lookup, Chances chances, std::uint64_t callers) {
  const auto size = lookup.slots.size();
  std::vector<bool> taken;
  double moved = 0;
  for (std::size_t i = 0; i < size; ++i) {
    taken.push_back(lookup.connects && is_taken(lookup, lookup.slots[i]));
    if (taken[i]) moved += std::exchange(chances[i], 0);
  }
  for (auto& chance : chances) chance *= static_cast<double>(callers);
  if (moved == 0) return chances;
  const auto followed = std::min<std::uint64_t>(callers, std::max<std::uint64_t>(16, kStepsMax / size));
  const double each = static_cast<double>(callers) / static_cast<double>(followed);
  Chances cursor(size), next(size);
  cursor[lookup.cursor % size] = 1;
  for (std::uint64_t call = 0; call < followed; ++call) {
    std::fill(next.begin(), next.end(), 0);
    for (std::size_t at = 0; at < size; ++at) {
      if (cursor[at] == 0) continue;
      const auto turn = (at + 1) % size;
      const auto to = taken[turn] ? (turn + 1) % size : turn;
      next[turn] += cursor[at] * (1 - moved);
      next[(to + 1) % size] += cursor[at] * moved;
      chances[to] += cursor[at] * moved * each;
    }
    cursor.swap(next);
  }
  return chances;
}

void by_lot(const Lookup& lookup, const Chances& chances, std::uint64_t callers, Simulation& out) {
  bool astray = false;
  const auto settled = shares(lookup, chances, callers);
  for (std::size_t i = 0; i < settled.size(); ++i) {
    const double times = settled[i];
    const auto found = lookup.backends.find(lookup.slots[i]);
    if (times == 0) continue;
    if (found == lookup.backends.end() || !found->second.usable) {
      astray = true;
    } else if (found->second.unreachable) {
      out.refused += times;
    } else {
      out.callers[found->first] += times;
    }
  }
  if (astray) out.assumes = "the table leads nowhere for some; they look again";
}

void choose(const Lookup& lookup, const Caller& caller, bool same, std::uint64_t callers, Simulation& out) {
  const auto size = lookup.slots.size();
  const auto exactly = [&](const Calls::Pick& pick, const char* assumes) {
    Calls calls(lookup, false);
    calls.run(pick, same, callers);
    calls.tell(out);
    out.exact = true;
    out.assumes = assumes;
  };
  const auto in_turn = [&](std::uint64_t cursor) { return static_cast<std::size_t>(cursor % size); };
  if (lookup.kept != 0 && same) return exactly(in_turn, "its affinity lasts");
  switch (static_cast<cf_svc_algorithm>(lookup.service.algorithm)) {
    case CF_SVC_ROUND_ROBIN:
      return exactly(in_turn, "nobody else calls in between");
    case CF_SVC_HASH:
      if (same && !caller.hash_known) {
        out.assumes =
            "an expectation: it keeps to one backend, by its network namespace, which is not known; name a pod, or a "
            "process (pid:NUMBER)";
        return by_lot(lookup, even(lookup), callers, out);
      }
      if (same) {
        return exactly([&](std::uint64_t) { return static_cast<std::size_t>(caller.hash % size); },
                       "the backends stay as they are");
      }
      out.assumes = "an expectation: each caller keeps to one backend, and many callers spread as the table's shares";
      return by_lot(lookup, even(lookup), callers, out);
    case CF_SVC_LEAST_CONNECTIONS: {
      Calls calls(lookup, true);
      calls.run([&](std::uint64_t cursor) { return fewest_connections(calls, cursor); }, same, callers);
      calls.tell(out);
      out.assumes = "an expectation: all of them stay connected, and nobody else comes or goes";
      return;
    }
    case CF_SVC_LEAST_LATENCY:
      out.assumes =
          "an expectation: of two slots drawn by lot the cheaper one, connect latencies and live connections staying "
          "as "
          "they are";
      return by_lot(lookup, of_two(lookup), callers, out);
    default:
      out.assumes = "an expectation: each call is drawn by lot";
      return by_lot(lookup, even(lookup), callers, out);
  }
}

std::uint64_t over(std::uint64_t callers, std::uint64_t most, std::uint64_t now) {
  return callers - std::min(callers, most - std::min(most, now));
}

}  // namespace

Simulation simulate(const Lookup& lookup, const Caller& caller, bool same, std::uint64_t callers) {
  Simulation out;
  if (lookup.verdict != Verdict::kTranslated) {
    out.refused = lookup.verdict == Verdict::kDirect ? 0 : static_cast<double>(callers);
    out.exact = true;
    return out;
  }
  const auto& service = lookup.service;
  if (lookup.connects && service.max_connections != 0) {
    out.breaker_refuses = over(callers, service.max_connections, lookup.load.active);
  }
  if (lookup.limits_pending) out.pending_refuses = over(callers, service.max_pending, lookup.load.pending);
  choose(lookup, caller, same, callers, out);
  const bool by_turn = service.algorithm == CF_SVC_ROUND_ROBIN || service.algorithm == CF_SVC_LEAST_CONNECTIONS;
  if (service.affinity_s != 0 && !(same && (out.exact || by_turn))) {
    if (same && out.callers.size() == 1) {
      out.callers.begin()->second = static_cast<double>(callers);  // its first choice, kept
    } else {
      out.assumes += "; each caller's first call, later ones keep its backend";
    }
  }
  const auto probing = std::any_of(lookup.backends.begin(), lookup.backends.end(),
                                   [](const auto& entry) { return entry.second.on_probation(); });
  if (probing && lookup.connects) {
    out.exact = false;
    out.assumes += "; a backend is on probation, and gets a call only while it has no connection, as it has now";
  }
  return out;
}

}  // namespace cortexflow::compile
