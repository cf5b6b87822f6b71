// SPDX-License-Identifier: Apache-2.0
// The authorities of a trust domain over its rotations.  An own root is kept in a text of its own, its key sealed; a
// given one comes from files of the operator's, and is replaced when these are.
//
// A rotation has two steps, so that nobody meets a certificate whose root it doesn't know yet: prepare() makes a new
// root and puts it into the bundle; activate() signs with it from then on.  The old root stays in the bundle until the
// last certificate it vouched for has ended.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "identity/authority.h"
#include "identity/former_roots.h"
#include "identity/kept_text.h"
#include "identity/secret.h"

namespace cortexflow::identity {

struct HeldAuthority {
  std::string role;  // "active", "prepared", "previous"
  std::shared_ptr<const Authority> authority;
};

// Immutable; a new one after each change.
struct AuthoritySet {
  std::vector<HeldAuthority> held;
  std::vector<std::shared_ptr<X509>> extra_roots;   // given beside the authority's own
  std::vector<std::shared_ptr<X509>> former_roots;  // of given authorities that were replaced

  [[nodiscard]] const Authority* find(const std::string& id) const;  // null: none
  [[nodiscard]] const Authority& active() const;
  [[nodiscard]] std::vector<X509*> roots() const;  // of all, each once
};

class Authorities {
 public:
  struct OwnRoot {
    std::shared_ptr<KeptText> kept;
    std::string trust_domain;
    KeyType key_type = KeyType::kEcP256;
    std::chrono::hours lifetime{};
  };
  // What is kept, or a new root.
  [[nodiscard]] static Result<std::unique_ptr<Authorities>> open_own(OwnRoot own, Secret passphrase, Time now);
  // `former`: what knows the roots of before.
  [[nodiscard]] static Result<std::unique_ptr<Authorities>> open_given(Authority authority,
                                                                       std::vector<Certificate> extra_roots,
                                                                       std::unique_ptr<KeptText> former);
  [[nodiscard]] static std::unique_ptr<Authorities> given(Authority authority, std::vector<Certificate> extra_roots);

  [[nodiscard]] std::shared_ptr<const AuthoritySet> current() const;

  // Kept when they return; as before where that fails.
  [[nodiscard]] Result<void> prepare(Time now);
  [[nodiscard]] Result<void> activate();
  // Of a given one: signs with this from now on.  The one before signs its revocation lists as long as this process
  // lives, and its root stays in the bundle, both while a certificate of it stands.
  [[nodiscard]] Result<void> replace(Authority authority, std::vector<Certificate> extra_roots,
                                     const FormerRoots::LastEnd& last_end, Time now);
  // At the start of a given one: what was replaced while nobody looked.
  [[nodiscard]] Result<void> recall(const FormerRoots::LastEnd& last_end, Time now);
  // Lets go of previous roots of which nothing stands any more: `last_end` is of an authority's certificates.
  // True where one went.
  [[nodiscard]] Result<bool> retire(const FormerRoots::LastEnd& last_end, Time now);

 private:
  Authorities() = default;
  [[nodiscard]] Result<void> keep(std::shared_ptr<const AuthoritySet> next);

  void publish(std::shared_ptr<const AuthoritySet> next);

  std::optional<OwnRoot> own_;
  std::optional<FormerRoots> former_;  // of a given one
  Secret passphrase_;
  std::mutex change_mutex_;
  mutable std::mutex mutex_;
  std::shared_ptr<const AuthoritySet> set_;
};

}  // namespace cortexflow::identity
