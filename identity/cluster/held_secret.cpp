// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/held_secret.h"

namespace cortexflow::identity {
namespace {

constexpr int kTriesMax = 20;  // while an earlier holder goes on writing

tl::unexpected<Error> failed(StoreError error, const std::string& what) {
  return tl::make_unexpected(std::move(error.error).wrap(what));
}

}  // namespace

Result<HeldSecret> HeldSecret::take(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term, std::string name) {
  HeldSecret held(std::move(store), std::move(term), std::move(name));
  for (int tries = 1;; ++tries) {
    auto found = held.store_->get(held.name_);
    if (!found) return failed(std::move(found.error()), fmt::format("cannot read Secret {}", held.name_));
    if (!*found) return held;
    auto taken = held.store_->put(held.name_, (*found)->version, held.term_->claim(), {});
    if (taken) {
      held.version_ = taken->version;
      if (const auto text = taken->data.find(kKey); text != taken->data.end()) held.text_ = text->second;
      return held;
    }
    if (!taken.error().conflict || tries == kTriesMax) {
      return failed(std::move(taken.error()), fmt::format("cannot take over Secret {}", held.name_));
    }
  }
}

Result<HeldSecret> HeldSecret::make(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term, std::string name,
                                    std::string version, std::string text) {
  HeldSecret held(std::move(store), std::move(term), std::move(name));
  held.version_ = std::move(version);
  if (auto written = held.replace(std::move(text)); !written) return tl::make_unexpected(std::move(written.error()));
  return held;
}

Result<void> HeldSecret::replace(std::string text) {
  if (term_->over()) return Term::is_over();
  auto written = store_->put(name_, version_, term_->claim(), {{kKey, text}});
  if (!written) {
    term_->end();
    return failed(std::move(written.error()), fmt::format("cannot write Secret {}", name_));
  }
  version_ = written->version;
  text_ = std::move(text);
  return {};
}

Result<std::optional<Secret>> KeptSecret::read() const {
  if (!held_.text()) return std::nullopt;
  return std::optional(Secret(*held_.text()));
}

}  // namespace cortexflow::identity
