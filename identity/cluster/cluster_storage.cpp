// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/cluster_storage.h"

#include "identity/cluster/held_secret.h"
#include "identity/cluster/secret_records.h"

namespace cortexflow::identity {

Result<std::unique_ptr<KeptText>> ClusterStorage::open_text(const std::string& what) {
  auto held = HeldSecret::take(store_, term_, name_ + "-" + what);
  if (!held) return tl::make_unexpected(std::move(held.error()));
  return std::make_unique<KeptSecret>(std::move(*held));
}

Result<std::unique_ptr<Ledger>> ClusterStorage::open_ledger() {
  return Ledger::open([this](const Records::Take& take) { return SecretRecords::open(store_, term_, name_, take); },
                      kLimits);
}

}  // namespace cortexflow::identity
