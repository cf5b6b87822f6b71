// SPDX-License-Identifier: Apache-2.0
// A short text that is replaced as a whole and kept over every end of the process: a file here, or a Secret of a
// cluster (identity/cluster/held_secret.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "identity/secret.h"

namespace cortexflow::identity {

class KeptText {
 public:
  KeptText() = default;
  KeptText(const KeptText&) = delete;
  KeptText& operator=(const KeptText&) = delete;
  virtual ~KeptText() = default;

  [[nodiscard]] virtual std::string name() const = 0;  // for errors
  // Nothing: there is none yet.
  [[nodiscard]] virtual Result<std::optional<Secret>> read() const = 0;
  // Kept when it returns; where it fails, one or the other is.
  [[nodiscard]] virtual Result<void> replace(std::string_view text) = 0;
};

// In a file that its owner alone may read.
class KeptFile : public KeptText {
 public:
  explicit KeptFile(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] std::string name() const override { return path_; }
  [[nodiscard]] Result<std::optional<Secret>> read() const override;
  [[nodiscard]] Result<void> replace(std::string_view text) override;

 private:
  const std::string path_;
};

}  // namespace cortexflow::identity
