// SPDX-License-Identifier: Apache-2.0
// The roots of authorities that were given in files and have been replaced there: they stay in the bundle until the
// last certificate that they vouch for has ended, also over a restart.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/authority.h"
#include "identity/kept_text.h"

namespace cortexflow::identity {

class FormerRoots {
 public:
  static constexpr std::size_t kMax = 16;

  // When the last certificate of an issuer ends, by its key id; nothing where there is none.
  using LastEnd = std::function<std::optional<Time>(const std::string& id)>;

  [[nodiscard]] static Result<FormerRoots> open(std::unique_ptr<KeptText> text);

  // `active` signs from now on.  Kept when it returns; as before where that fails, or where more than kMax would
  // stand.
  [[nodiscard]] Result<void> follow(const Authority& active, const LastEnd& last_end, Time now);
  // True where one went.
  [[nodiscard]] Result<bool> retire(Time now);
  [[nodiscard]] std::vector<std::shared_ptr<X509>> roots() const;

 private:
  struct Former {
    std::shared_ptr<X509> root;
    Time until;
  };
  struct Active {
    std::string issuer;  // key id
    std::shared_ptr<X509> root;
  };
  struct Kept {
    std::optional<Active> active;
    std::vector<Former> former;
  };

  explicit FormerRoots(std::unique_ptr<KeptText> text) : text_(std::move(text)) {}
  [[nodiscard]] Result<void> keep(Kept next);

  std::unique_ptr<KeptText> text_;
  Kept kept_;
};

}  // namespace cortexflow::identity
