// SPDX-License-Identifier: Apache-2.0
// Keys, requests and an authority for the tests of identity/.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "identity/authority.h"
#include "identity/certificates.h"
#include "identity/csr.h"

namespace cortexflow::test {

inline const identity::Time kNoon{std::chrono::hours(500'000)};  // 2027-01-15T08:00:00Z

inline identity::SpiffeId spiffe_id(const std::string& text = "spiffe://example.org/ns/shop/sa/cart") {
  auto id = identity::SpiffeId::parse(text);
  REQUIRE(id.has_value());
  return *id;
}

inline identity::Key key_of(identity::KeyType type = identity::KeyType::kEcP256) {
  auto key = identity::generate_key(type);
  REQUIRE(key.has_value());
  return std::move(*key);
}

inline identity::Authority root_authority(identity::KeyType type = identity::KeyType::kEcP256) {
  auto root = identity::Authority::make_root("example.org", type, std::chrono::hours(10 * 365 * 24), kNoon);
  REQUIRE(root.has_value());
  return std::move(*root);
}

// A directory of its own, gone at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "cortexflow-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace cortexflow::test
