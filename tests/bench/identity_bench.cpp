// SPDX-License-Identifier: Apache-2.0
// identity_bench DIRECTORY SECONDS CERTIFICATES: what a certificate costs, as one JSON document.  Of one thread, in its
// own CPU time: a request read, a certificate signed and checked, the whole way with the ledger in DIRECTORY; the
// memory that CERTIFICATES leave; and in how many of one moment's certificates a second's renewals peak (drawn, not
// waited for).
#include <malloc.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>

#include "identity/certificates.h"
#include "identity/csr.h"
#include "identity/issuer.h"
#include "identity/renewal.h"

namespace {

using namespace cortexflow::identity;
using namespace std::chrono_literals;

const std::string kDomain = "example.org";

template <typename T>
T must(cortexflow::Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "identity_bench: %s\n", result.error().to_string().c_str());
  std::exit(1);
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Times a CPU second; `work` is true where it was done.
double rate(double seconds, const std::function<bool()>& work) {
  const double begin = cpu_seconds();
  double now = begin;
  std::uint64_t done = 0;
  for (; now - begin < seconds; now = cpu_seconds()) {
    if (!work()) std::exit(1);
    ++done;
  }
  return static_cast<double>(done) / (now - begin);
}

nlohmann::ordered_json spread_of(int workloads, std::chrono::hours lifetime) {
  const Time begin{std::chrono::hours(500'000)};
  std::map<std::int64_t, int> seconds;
  for (int i = 0; i < workloads; ++i) {
    const auto at = renewal_time(begin, begin + lifetime, draw_jitter());
    ++seconds[std::chrono::duration_cast<std::chrono::seconds>(at - begin).count()];
  }
  int most = 0;
  for (const auto& [second, count] : seconds) most = std::max(most, count);
  const auto span = static_cast<double>(seconds.rbegin()->first - seconds.begin()->first + 1);
  return {{"lifetime_hours", lifetime.count()}, {"mean", workloads / span}, {"most", most}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string directory = argv[1];
  const double seconds = std::strtod(argv[2], nullptr);
  const int certificates = std::atoi(argv[3]);
  const auto now = [] { return std::chrono::system_clock::now(); };
  const auto authorities = Authorities::given(must(Authority::make_root(kDomain, KeyType::kEcP256, 1000h, now())), {});
  const auto ledger = must(Ledger::open(directory + "/ledger"));
  Issuer issuer(*authorities, *ledger, {kDomain}, now);
  const auto id = must(SpiffeId::parse("spiffe://example.org/ns/shop/sa/cart"));
  const auto key = must(generate_key(KeyType::kEcP256));
  const auto csr = must(make_csr(key.get(), id, {"cart.shop.svc"}));
  const Principal who{"the bench", true};
  const auto set = authorities->current();
  const Subject subject{id, {"cart.shop.svc"}, key.get(), 24h};

  nlohmann::ordered_json out;
  out["keys"] = rate(seconds, [] { return generate_key(KeyType::kEcP256).has_value(); });
  out["requests_read"] = rate(seconds, [&] { return parse_csr(csr).has_value(); });
  out["signed_and_checked"] = rate(seconds, [&] { return set->active().issue(subject, now()).has_value(); });
  out["issued"] = rate(seconds, [&] { return issuer.issue(who, csr, {}).has_value(); });
  const auto before = mallinfo2().uordblks;
  for (int i = 0; i < certificates; ++i) {
    if (!issuer.issue(who, csr, {})) return 1;
  }
  out["octets_each"] = static_cast<double>(mallinfo2().uordblks - before) / certificates;
  for (const auto lifetime : {24h, 1h}) out["renewals"].push_back(spread_of(10'000, lifetime));
  std::printf("%s\n", out.dump().c_str());
  return 0;
}
