// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/crypto.h>

#include <string>
#include <string_view>
#include <utility>

namespace cortexflow::identity {

// Octets that are wiped from memory when they are let go: keys and passphrases.  Moved, never copied.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view octets) : octets_(octets) {}
  // What is in `octets`, which is empty then: of a string that never grew, no copy is left.
  [[nodiscard]] static Secret taking(std::string& octets) {
    Secret taken;
    taken.octets_.swap(octets);
    return taken;
  }
  Secret(Secret&& other) noexcept : octets_(std::move(other.octets_)) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    wipe();
    octets_ = std::move(other.octets_);
    other.wipe();
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  [[nodiscard]] std::string_view view() const { return octets_; }
  [[nodiscard]] bool empty() const { return octets_.empty(); }

 private:
  // A moved-from string may still have them in its own small buffer.
  void wipe() {
    octets_.resize(octets_.capacity());
    OPENSSL_cleanse(octets_.data(), octets_.size());
    octets_.clear();
  }

  std::string octets_;
};

}  // namespace cortexflow::identity
