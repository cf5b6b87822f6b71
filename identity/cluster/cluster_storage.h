// SPDX-License-Identifier: Apache-2.0
// What an authority keeps, in Secrets of a cluster: NAME is the ledger's index, to which all others belong.
#pragma once

#include <memory>
#include <string>

#include "identity/cluster/secret_store.h"
#include "identity/cluster/term.h"
#include "identity/storage.h"

namespace cortexflow::identity {

class ClusterStorage : public Storage {
 public:
  // Of what SecretRecords may hold, with SPIFFE IDs of a usual length.
  static constexpr LedgerLimits kLimits{65'536, 16'384};

  ClusterStorage(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term, std::string name)
      : store_(std::move(store)), term_(std::move(term)), name_(std::move(name)) {}

  [[nodiscard]] Result<std::unique_ptr<KeptText>> open_authorities() override { return open_text("authorities"); }
  [[nodiscard]] Result<std::unique_ptr<KeptText>> open_former_roots() override { return open_text("former-roots"); }
  [[nodiscard]] Result<std::unique_ptr<Ledger>> open_ledger() override;

 private:
  [[nodiscard]] Result<std::unique_ptr<KeptText>> open_text(const std::string& what);

  const std::shared_ptr<SecretStore> store_;
  const std::shared_ptr<Term> term_;
  const std::string name_;
};

}  // namespace cortexflow::identity
