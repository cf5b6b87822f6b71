// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/shares.h"

#include <algorithm>
#include <numeric>

namespace cortexflow::compile {

std::vector<std::uint32_t> weighted_sequence(const std::vector<std::uint64_t>& weights, std::size_t max) {
  std::uint64_t divisor = 0;
  for (const auto weight : weights) divisor = std::gcd(divisor, weight);
  if (divisor == 0) return {};
  std::uint64_t total = 0;
  for (const auto weight : weights) {
    if (weight / divisor > max) return {};
    total += weight / divisor;
  }
  if (total > max) return {};
  std::vector<std::uint32_t> sequence;
  sequence.reserve(total);
  std::vector<std::int64_t> credit(weights.size(), 0);
  for (std::uint64_t step = 0; step < total; ++step) {
    std::size_t best = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      credit[i] += static_cast<std::int64_t>(weights[i] / divisor);
      if (credit[i] > credit[best]) best = i;
    }
    credit[best] -= static_cast<std::int64_t>(total);
    sequence.push_back(static_cast<std::uint32_t>(best));
  }
  return sequence;
}

std::vector<std::uint32_t> maglev_table(const std::vector<std::string>& names,
                                        const std::vector<std::uint64_t>& weights, std::uint32_t size) {
  constexpr std::uint32_t kFree = UINT32_MAX;
  // In the order of the names, whatever order they came in.
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    if (weights[i] > 0) order.push_back(i);
  }
  if (order.empty() || size < 2) return {};
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return names[a] < names[b]; });
  std::uint64_t divisor = 0;
  for (const auto i : order) divisor = std::gcd(divisor, weights[i]);
  std::vector<std::uint64_t> offset, skip, next(order.size(), 0);
  for (const auto i : order) {
    offset.push_back(fnv1a(names[i] + "#offset") % size);
    skip.push_back(fnv1a(names[i] + "#skip") % (size - 1) + 1);
  }
  std::vector<std::uint32_t> table(size, kFree);
  for (std::uint32_t filled = 0;;) {
    for (std::size_t k = 0; k < order.size(); ++k) {
      for (std::uint64_t turn = 0; turn < weights[order[k]] / divisor; ++turn) {
        std::uint64_t at = 0;
        do {
          at = (offset[k] + next[k]++ * skip[k]) % size;
        } while (table[at] != kFree);
        table[at] = order[k];
        if (++filled == size) return table;
      }
    }
  }
}

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

std::uint64_t caller_hash(std::string_view name) {
  std::uint64_t hash = fnv1a(name);
  hash = (hash ^ hash >> 33U) * 0xff51afd7ed558ccdU;
  hash = (hash ^ hash >> 33U) * 0xc4ceb9fe1a85ec53U;
  return hash ^ hash >> 33U;
}

}  // namespace cortexflow::compile
