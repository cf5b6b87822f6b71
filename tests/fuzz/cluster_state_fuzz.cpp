// SPDX-License-Identifier: Apache-2.0
// Any octets as what an API server has: a Lease's spec that is in its bounds, and records that can be read again as
// they were, or a reason why not.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "identity/cluster/lease.h"
#include "identity/cluster/secret_records.h"
#include "tests/unit/secret_store_fake.h"

namespace {

using namespace cortexflow;
using namespace cortexflow::identity;

std::optional<std::string> read(const std::shared_ptr<cortexflow::test::FakeSecrets>& store, const char* claim) {
  std::string all;
  const auto records =
      SecretRecords::open(store, std::make_shared<Term>(claim), "ca", [&](std::string_view record) -> Result<void> {
        all += record;
        all += '\n';
        return {};
      });
  return records ? std::optional(all) : std::nullopt;
}

}  // namespace

// The index, and behind a line end the first segment.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto lease = lease_record(nlohmann::json::parse(text, nullptr, false));
  if (lease.duration.count() < 0 || lease.duration.count() > 3600 || lease.transitions < 0) std::abort();
  const auto end = text.find('\n');
  const auto store = std::make_shared<cortexflow::test::FakeSecrets>();
  store->secrets["ca"] = {"1", "uid", "", {{HeldSecret::kKey, text.substr(0, end)}}};
  store->secrets["ca-0"] = {"2", "uid", "", {{HeldSecret::kKey, end == std::string::npos ? "" : text.substr(end + 1)}}};
  const auto first = read(store, "a");
  if (first && read(store, "b") != first) std::abort();
  return 0;
}
