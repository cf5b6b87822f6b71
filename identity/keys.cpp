// SPDX-License-Identifier: Apache-2.0
#include "identity/keys.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>

#include <array>

namespace cortexflow::identity {
namespace {

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;  // what a stranger can make a signature check cost
constexpr std::uint64_t kScryptN = 1U << 14U;
constexpr std::uint64_t kScryptR = 8;
constexpr std::uint64_t kScryptP = 1;

using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreedBy<EVP_PKEY_CTX_free>>;
using Pkcs8 = std::unique_ptr<PKCS8_PRIV_KEY_INFO, FreedBy<PKCS8_PRIV_KEY_INFO_free>>;
using SealedPkcs8 = std::unique_ptr<X509_SIG, FreedBy<X509_SIG_free>>;

int give_passphrase(char* buffer, int size, int, void* passphrase) {
  const auto text = static_cast<const Secret*>(passphrase)->view();
  if (text.empty() || static_cast<std::size_t>(size) < text.size()) return -1;
  text.copy(buffer, text.size());
  return static_cast<int>(text.size());
}

Bio wiped_memory() { return Bio(BIO_new(BIO_s_secmem())); }

Secret secret_of(BIO* memory) {
  char* octets = nullptr;
  const long size = BIO_get_mem_data(memory, &octets);
  return Secret({octets, static_cast<std::size_t>(size)});
}

bool curve_is(EVP_PKEY* key, std::string_view wanted) {
  std::array<char, 64> name{};
  std::size_t size = 0;
  return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name.data(), name.size(), &size) == 1 &&
         wanted == std::string_view(name.data(), size);
}

}  // namespace

const std::vector<std::string>& key_type_texts() {
  static const std::vector<std::string> kTexts{"ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"};
  return kTexts;
}

Result<KeyType> parse_key_type(std::string_view text) {
  for (std::size_t i = 0; i < key_type_texts().size(); ++i) {
    if (key_type_texts()[i] == text) return static_cast<KeyType>(i);
  }
  return fail("unknown key type {}; expected one of {}", text, fmt::join(key_type_texts(), ", "));
}

Result<Key> generate_key(KeyType type) {
  EVP_PKEY* made = nullptr;
  switch (type) {
    case KeyType::kEcP256:
      made = EVP_EC_gen("P-256");
      break;
    case KeyType::kEcP384:
      made = EVP_EC_gen("P-384");
      break;
    case KeyType::kRsa2048:
      made = EVP_RSA_gen(2048U);
      break;
    case KeyType::kRsa3072:
      made = EVP_RSA_gen(3072U);
      break;
    case KeyType::kRsa4096:
      made = EVP_RSA_gen(4096U);
      break;
  }
  if (made == nullptr) return fail_openssl("cannot make a key");
  return Key(made);
}

Result<void> check_public_key(EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
      return fail("the RSA key has {} bits; taken are {} to {}", bits, kRsaBitsMin, kRsaBitsMax);
    }
  } else if (EVP_PKEY_is_a(key, "EC") == 1) {
    if (!curve_is(key, "prime256v1") && !curve_is(key, "secp384r1")) {
      return fail("the elliptic curve is neither P-256 nor P-384");
    }
  } else {
    const char* name = EVP_PKEY_get0_type_name(key);
    return fail("keys of type {} are not taken; expected ECDSA P-256, P-384, or RSA of {} bits or more",
                name == nullptr ? "unknown" : name, kRsaBitsMin);
  }
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (!context || EVP_PKEY_public_check_quick(context.get()) != 1) return fail_openssl("the public key is not sound");
  return {};
}

Result<Key> read_private_key(std::string_view pem, const Secret& passphrase) {
  const Bio memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, give_passphrase, const_cast<Secret*>(&passphrase)));
  if (!key) {
    return fail_openssl("the private key cannot be read",
                        passphrase.empty() ? "is it encrypted? give its passphrase" : "is it its passphrase?");
  }
  if (auto checked = check_public_key(key.get()); !checked) return tl::make_unexpected(std::move(checked.error()));
  return key;
}

Result<Secret> private_key_pem(EVP_PKEY* key) {
  const Bio memory = wiped_memory();
  if (PEM_write_bio_PKCS8PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail_openssl("cannot write the key");
  }
  return secret_of(memory.get());
}

Result<Secret> private_key_der(EVP_PKEY* key) {
  const Pkcs8 clear(EVP_PKEY2PKCS8(key));
  const Bio memory = wiped_memory();
  if (!clear || i2d_PKCS8_PRIV_KEY_INFO_bio(memory.get(), clear.get()) != 1)
    return fail_openssl("cannot write the key");
  return secret_of(memory.get());
}

Result<std::string> sealed_key_pem(EVP_PKEY* key, const Secret& passphrase) {
  const Pkcs8 clear(EVP_PKEY2PKCS8(key));
  X509_ALGOR* method = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), nullptr, 0, nullptr, kScryptN, kScryptR, kScryptP);
  if (!clear || method == nullptr) return fail_openssl("cannot seal the key");
  const auto text = passphrase.view();
  const SealedPkcs8 sealed(PKCS8_set0_pbe(text.data(), static_cast<int>(text.size()), clear.get(), method));
  if (!sealed) {
    X509_ALGOR_free(method);
    return fail_openssl("cannot seal the key");
  }
  const Bio memory(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8(memory.get(), sealed.get()) != 1) return fail_openssl("cannot write the sealed key");
  return std::string(secret_of(memory.get()).view());
}

}  // namespace cortexflow::identity
