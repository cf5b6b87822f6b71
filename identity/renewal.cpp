// SPDX-License-Identifier: Apache-2.0
#include "identity/renewal.h"

#include <algorithm>
#include <random>

namespace cortexflow::identity {

using std::chrono::system_clock;

system_clock::time_point renewal_time(system_clock::time_point not_before, system_clock::time_point not_after,
                                      double jitter) {
  constexpr std::chrono::hours kLatest{7 * 24};
  constexpr double kSpread = 0.05;
  const auto lifetime = not_after - not_before;
  if (lifetime <= system_clock::duration::zero()) return not_before;
  const double share = 0.5 + kSpread * (2 * std::clamp(jitter, 0.0, 1.0) - 1);
  const auto length =
      std::chrono::duration_cast<system_clock::duration>(std::chrono::duration<double>(lifetime) * share);
  const auto half = not_before + length;
  return lifetime / 2 > kLatest ? std::min(half, not_after - kLatest) : half;
}

double draw_jitter() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(random);
}

}  // namespace cortexflow::identity
