// SPDX-License-Identifier: Apache-2.0
// From weights to the order of slots.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cortexflow::compile {

// Indices into `weights`, each as often as its weight less the common divisor, spread evenly: every window as long as
// the sequence has the exact shares (smooth weighted round robin, as nginx has it since 1.3.1).  Weights of 0 are left
// out.  Empty if the sequence would be longer than `max`.
[[nodiscard]] std::vector<std::uint32_t> weighted_sequence(const std::vector<std::uint64_t>& weights, std::size_t max);

// A Maglev lookup table of `size` slots (a prime), as indices into `names`: Eisenbud et al., "Maglev: A Fast and
// Reliable Software Network Load Balancer", NSDI 2016, 3.4.  A backend with weight w takes w turns a round.  Names
// decide the permutation, so that the order in which backends are given does not.
[[nodiscard]] std::vector<std::uint32_t> maglev_table(const std::vector<std::string>& names,
                                                      const std::vector<std::uint64_t>& weights, std::uint32_t size);

// FNV-1a, 64 bits (Fowler, Noll, Vo): the number by which the kernel knows a version.
[[nodiscard]] std::uint64_t fnv1a(std::string_view text);

// A caller's number for consistent hashing, of its name: FNV-1a, mixed as MurmurHash3 does at its end.  FNV-1a alone
// leaves names that count upwards at fixed distances from each other, and their shares of a table uneven.
[[nodiscard]] std::uint64_t caller_hash(std::string_view name);

}  // namespace cortexflow::compile
