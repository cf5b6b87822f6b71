// SPDX-License-Identifier: Apache-2.0
#include "identity/authorities.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "identity/certificates.h"

namespace cortexflow::identity {
namespace {

using nlohmann::ordered_json;

Result<HeldAuthority> held_of(const ordered_json& json, const std::string& trust_domain, const Secret& passphrase,
                              Time now) {
  auto chain = read_certificates(json.at("chain").get<std::string>());
  if (!chain) return tl::make_unexpected(std::move(chain.error()));
  auto key = read_private_key(json.at("sealed_key").get<std::string>(), passphrase);
  if (!key) return tl::make_unexpected(std::move(key.error()));
  auto authority = Authority::load(std::move(*chain), std::move(*key), trust_domain, now);
  if (!authority) return tl::make_unexpected(std::move(authority.error()));
  return HeldAuthority{json.at("role").get<std::string>(), std::make_shared<const Authority>(std::move(*authority))};
}

Result<std::shared_ptr<AuthoritySet>> read_set(std::string_view text, const std::string& trust_domain,
                                               const Secret& passphrase, Time now) {
  const auto json = ordered_json::parse(text, nullptr, false);
  auto set = std::make_shared<AuthoritySet>();
  try {
    for (const auto& one : json.at("authorities")) {
      auto held = held_of(one, trust_domain, passphrase, now);
      if (held) {
        set->held.push_back(std::move(*held));
      } else if (one.at("role") != "previous") {  // a previous one may have expired
        return tl::make_unexpected(std::move(held.error()));
      }
    }
  } catch (const ordered_json::exception&) {
    return fail("it is not what cfidentity writes");
  }
  const auto active =
      std::count_if(set->held.begin(), set->held.end(), [](const auto& h) { return h.role == "active"; });
  if (active != 1) return fail("it has {} active authorities", active);
  return set;
}

std::vector<std::shared_ptr<X509>> shared(std::vector<Certificate> certificates) {
  std::vector<std::shared_ptr<X509>> out;
  out.reserve(certificates.size());
  for (auto& one : certificates) out.emplace_back(one.release(), X509_free);
  return out;
}

}  // namespace

const Authority* AuthoritySet::find(const std::string& id) const {
  for (const auto& one : held) {
    if (one.authority->id() == id) return one.authority.get();
  }
  return nullptr;
}

const Authority& AuthoritySet::active() const {
  return *std::find_if(held.begin(), held.end(), [](const auto& h) { return h.role == "active"; })->authority;
}

std::vector<X509*> AuthoritySet::roots() const {
  std::vector<X509*> out;
  const auto add = [&out](X509* root) {
    const bool there = std::any_of(out.begin(), out.end(), [root](X509* other) { return X509_cmp(root, other) == 0; });
    if (!there) out.push_back(root);
  };
  for (const auto& one : held) add(one.authority->root());
  for (const auto& one : former_roots) add(one.get());
  for (const auto& one : extra_roots) add(one.get());
  return out;
}

std::unique_ptr<Authorities> Authorities::given(Authority authority, std::vector<Certificate> extra_roots) {
  std::unique_ptr<Authorities> made(new Authorities);
  auto set = std::make_shared<AuthoritySet>();
  set->held.push_back({"active", std::make_shared<const Authority>(std::move(authority))});
  set->extra_roots = shared(std::move(extra_roots));
  made->set_ = std::move(set);
  return made;
}

Result<std::unique_ptr<Authorities>> Authorities::open_given(Authority authority, std::vector<Certificate> extra_roots,
                                                             std::unique_ptr<KeptText> former) {
  auto opened = FormerRoots::open(std::move(former));
  if (!opened) return tl::make_unexpected(std::move(opened.error()));
  auto made = given(std::move(authority), std::move(extra_roots));
  made->former_ = std::move(*opened);
  return made;
}

Result<std::unique_ptr<Authorities>> Authorities::open_own(OwnRoot own, Secret passphrase, Time now) {
  std::unique_ptr<Authorities> made(new Authorities);
  made->own_ = std::move(own);
  made->passphrase_ = std::move(passphrase);
  const auto text = made->own_->kept->read();
  if (!text) return tl::make_unexpected(text.error());
  if (*text) {
    auto set = read_set((*text)->view(), made->own_->trust_domain, made->passphrase_, now);
    if (!set) return tl::make_unexpected(std::move(set.error()).wrap(made->own_->kept->name()));
    made->set_ = std::move(*set);
    return made;
  }
  auto root = Authority::make_root(made->own_->trust_domain, made->own_->key_type, made->own_->lifetime, now);
  if (!root) return tl::make_unexpected(std::move(root.error()));
  auto set = std::make_shared<AuthoritySet>();
  set->held.push_back({"active", std::make_shared<const Authority>(std::move(*root))});
  if (auto kept = made->keep(std::move(set)); !kept) return tl::make_unexpected(std::move(kept.error()));
  return made;
}

std::shared_ptr<const AuthoritySet> Authorities::current() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

Result<void> Authorities::keep(std::shared_ptr<const AuthoritySet> next) {
  auto list = ordered_json::array();
  for (const auto& one : next->held) {
    auto sealed = sealed_key_pem(one.authority->key(), passphrase_);
    if (!sealed) return tl::make_unexpected(std::move(sealed.error()));
    list.push_back({{"role", one.role}, {"chain", one.authority->chain_pem()}, {"sealed_key", std::move(*sealed)}});
  }
  const ordered_json document{{"authorities", std::move(list)}};
  if (auto written = own_->kept->replace(document.dump(1) + "\n"); !written) return written;
  publish(std::move(next));
  return {};
}

void Authorities::publish(std::shared_ptr<const AuthoritySet> next) {
  const std::lock_guard lock(mutex_);
  set_ = std::move(next);
}

Result<void> Authorities::prepare(Time now) {
  const std::lock_guard lock(change_mutex_);
  if (!own_) {
    return tl::make_unexpected(Error{"the authority was given in files, and is not rotated here",
                                     "replace authority.certificate and authority.key: they are read again by "
                                     "themselves, and the old root stays in the bundle as long as it is needed"});
  }
  auto next = std::make_shared<AuthoritySet>(*current());
  if (std::any_of(next->held.begin(), next->held.end(), [](const auto& h) { return h.role == "prepared"; })) {
    return tl::make_unexpected(Error{"a new root is prepared already", "activate it"});
  }
  auto root = Authority::make_root(own_->trust_domain, own_->key_type, own_->lifetime, now);
  if (!root) return tl::make_unexpected(std::move(root.error()));
  next->held.push_back({"prepared", std::make_shared<const Authority>(std::move(*root))});
  return keep(std::move(next));
}

Result<void> Authorities::activate() {
  const std::lock_guard lock(change_mutex_);
  auto next = std::make_shared<AuthoritySet>(*current());
  const auto prepared =
      std::find_if(next->held.begin(), next->held.end(), [](const auto& h) { return h.role == "prepared"; });
  if (prepared == next->held.end()) return tl::make_unexpected(Error{"no new root is prepared", "prepare one first"});
  for (auto& one : next->held) {
    if (one.role == "active") one.role = "previous";
  }
  prepared->role = "active";
  return keep(std::move(next));
}

Result<void> Authorities::replace(Authority authority, std::vector<Certificate> extra_roots,
                                  const FormerRoots::LastEnd& last_end, Time now) {
  const std::lock_guard lock(change_mutex_);
  if (current()->held.size() > FormerRoots::kMax) {
    return fail("{} authorities of before have certificates that stand; no more are kept", FormerRoots::kMax);
  }
  if (former_) {
    if (auto followed = former_->follow(authority, last_end, now); !followed) return followed;
  }
  auto next = std::make_shared<AuthoritySet>(*current());
  // One with the same key signs the same lists.
  std::erase_if(next->held, [&](const HeldAuthority& one) { return one.authority->id() == authority.id(); });
  for (auto& one : next->held) one.role = "previous";
  next->held.insert(next->held.begin(), {"active", std::make_shared<const Authority>(std::move(authority))});
  next->extra_roots = shared(std::move(extra_roots));
  if (former_) next->former_roots = former_->roots();
  publish(std::move(next));
  return {};
}

Result<void> Authorities::recall(const FormerRoots::LastEnd& last_end, Time now) {
  const std::lock_guard lock(change_mutex_);
  if (!former_) return {};
  if (auto followed = former_->follow(current()->active(), last_end, now); !followed) return followed;
  auto next = std::make_shared<AuthoritySet>(*current());
  next->former_roots = former_->roots();
  publish(std::move(next));
  return {};
}

Result<bool> Authorities::retire(const FormerRoots::LastEnd& last_end, Time now) {
  const std::lock_guard lock(change_mutex_);
  auto next = std::make_shared<AuthoritySet>(*current());
  const auto gone = std::erase_if(next->held, [&](const HeldAuthority& one) {
    if (one.role != "previous") return false;
    const auto end = last_end(one.authority->id());
    return now >= one.authority->ends() || !end || now > *end;
  });
  const auto forgot = former_ ? former_->retire(now) : Result<bool>(false);
  if (!forgot) return tl::make_unexpected(forgot.error());
  if (gone == 0 && !*forgot) return false;
  if (former_) next->former_roots = former_->roots();
  if (!own_) {
    publish(std::move(next));
    return true;
  }
  if (auto kept = keep(std::move(next)); !kept) return tl::make_unexpected(std::move(kept.error()));
  return true;
}

}  // namespace cortexflow::identity
