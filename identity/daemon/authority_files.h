// SPDX-License-Identifier: Apache-2.0
// The authorities that the settings name: an own root that is kept with the ledger, or one that is given in files, such
// as the tls.crt, tls.key and ca.crt of a secret of cert-manager's.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/authorities.h"
#include "identity/daemon/settings.h"
#include "identity/storage.h"

namespace cortexflow::identity {

[[nodiscard]] Result<std::unique_ptr<Authorities>> open_authorities(const Settings& settings, Storage& storage,
                                                                    Time now);

// Files that are replaced while they are used, as a kubelet does with a secret's: all at once, by a link to their
// directory.
class AuthorityFiles {
 public:
  static constexpr std::chrono::seconds kEvery{2};  // looked at

  // As open_authorities() has found them, or finds them now.
  explicit AuthorityFiles(const Settings& settings);

  // Of an authority from files; another would not be looked at.
  struct Given {
    Authority authority;
    std::vector<Certificate> extra_roots;
  };
  // Nothing: as they were.  What can't be used is said once, until they change again.
  [[nodiscard]] Result<std::optional<Given>> changed(Time now);

 private:
  [[nodiscard]] std::string stamp() const;

  const Settings& settings_;
  std::string seen_;
};

}  // namespace cortexflow::identity
