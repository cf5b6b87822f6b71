// SPDX-License-Identifier: Apache-2.0
// Where an authority keeps what it must not forget: its roots, and the ledger.
#pragma once

#include <memory>

#include "identity/kept_text.h"
#include "identity/ledger.h"

namespace cortexflow::identity {

class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  virtual ~Storage() = default;

  [[nodiscard]] virtual Result<std::unique_ptr<KeptText>> open_authorities() = 0;   // own roots
  [[nodiscard]] virtual Result<std::unique_ptr<KeptText>> open_former_roots() = 0;  // of given ones
  [[nodiscard]] virtual Result<std::unique_ptr<Ledger>> open_ledger() = 0;
};

}  // namespace cortexflow::identity
