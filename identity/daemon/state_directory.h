// SPDX-License-Identifier: Apache-2.0
// What an authority keeps, in files of one directory.
#pragma once

#include <memory>
#include <string>

#include "agent/base/fd.h"
#include "identity/storage.h"

namespace cortexflow::identity {

class StateDirectory : public Storage {
 public:
  // Refused where another process has it; it is this one's as long as it lives, whatever ends it.
  [[nodiscard]] static Result<std::unique_ptr<Storage>> open(const std::string& path);

  [[nodiscard]] Result<std::unique_ptr<KeptText>> open_authorities() override { return file("authorities.json"); }
  [[nodiscard]] Result<std::unique_ptr<KeptText>> open_former_roots() override { return file("former-roots.json"); }
  [[nodiscard]] Result<std::unique_ptr<Ledger>> open_ledger() override { return Ledger::open(path_ + "/ledger"); }

 private:
  StateDirectory(std::string path, Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  [[nodiscard]] std::unique_ptr<KeptText> file(const std::string& name) const {
    return std::make_unique<KeptFile>(path_ + "/" + name);
  }

  const std::string path_;
  const Fd lock_;
};

}  // namespace cortexflow::identity
