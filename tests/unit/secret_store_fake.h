// SPDX-License-Identifier: Apache-2.0
// Secrets as an API server has them: one version for each change, and none for a write that changes nothing.  It may
// lose the answer of a request, with or without having done it, and do another's in front of one.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "identity/cluster/secret_store.h"

namespace cortexflow::test {

class FakeSecrets : public identity::SecretStore {
 public:
  enum class Loss { kNone, kRequest, kAnswer };

  std::map<std::string, identity::StoredSecret> secrets;
  int writes = 0;   // puts and removals so far
  int lost_at = 0;  // this one and all after it; 0: none
  Loss loss = Loss::kNone;
  bool unwritable = false;             // as a role without the right to patch makes it
  std::function<void()> before_write;  // called once, in front of the write number `before_at`
  int before_at = 0;

  identity::Stored<std::optional<identity::StoredSecret>> get(const std::string& name) override {
    if (is_lost(writes)) return lost();
    const auto found = secrets.find(name);
    return found == secrets.end() ? std::nullopt : std::optional(found->second);
  }

  identity::Stored<identity::StoredSecret> put(const std::string& name, const std::string& version,
                                               const std::string& claim,
                                               const std::map<std::string, std::string>& data) override {
    begin_write();
    if (unwritable || (is_lost(writes) && (loss == Loss::kRequest || writes > lost_at))) return lost();
    const auto found = secrets.find(name);
    if ((found == secrets.end() ? std::string() : found->second.version) != version) return conflict();
    identity::StoredSecret next =
        found == secrets.end() ? identity::StoredSecret{"", "uid-" + name, "", {}} : found->second;
    next.claim = claim;
    for (const auto& [key, value] : data) next.data[key] = value;
    const bool changed = found == secrets.end() || next.claim != found->second.claim || next.data != found->second.data;
    if (changed) next.version = std::to_string(++last_version_);
    secrets[name] = next;
    if (is_lost(writes)) return lost();
    return next;
  }

  identity::Stored<void> remove(const std::string& name, const std::string& version) override {
    begin_write();
    if (is_lost(writes) && (loss == Loss::kRequest || writes > lost_at)) return lost();
    const auto found = secrets.find(name);
    if (found != secrets.end() && found->second.version != version) return conflict();
    if (found != secrets.end()) secrets.erase(found);
    if (is_lost(writes)) return lost();
    return {};
  }

 private:
  [[nodiscard]] bool is_lost(int write) const { return loss != Loss::kNone && write >= lost_at; }
  void begin_write() {
    if (++writes != before_at) return;
    const auto call = std::move(before_write);
    before_at = 0;
    if (call) call();
  }
  static tl::unexpected<identity::StoreError> lost() {
    return tl::make_unexpected(identity::StoreError{false, {"the server is away", {}}});
  }
  static tl::unexpected<identity::StoreError> conflict() {
    return tl::make_unexpected(identity::StoreError{true, {"another version", {}}});
  }

  int last_version_ = 0;
};

}  // namespace cortexflow::test
