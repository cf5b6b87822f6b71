// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/authority_files.h"

#include <cstdlib>
#include <filesystem>

#include "identity/certificates.h"
#include "identity/small_file.h"

namespace cortexflow::identity {
namespace {

Result<Secret> passphrase_of(const Settings& settings) {
  if (!settings.authority.passphrase_file.empty()) return read_passphrase(settings.authority.passphrase_file);
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");  // systemd's, for LoadCredential=
  const std::string credential = credentials == nullptr ? "" : fmt::format("{}/identity-passphrase", credentials);
  if (!credential.empty() && std::filesystem::exists(credential)) return read_passphrase(credential);
  return Secret();
}

Result<std::unique_ptr<Authorities>> given_authority(const Settings& settings, const Secret& passphrase, Time now) {
  const auto& files = settings.authority;
  const auto chain_text = read_small_file(files.certificate, Privacy::kAny);
  const auto key_text = read_small_file(files.key, Privacy::kOwner);
  if (!chain_text || !key_text) return tl::make_unexpected((chain_text ? key_text : chain_text).error());
  auto chain = read_certificates(chain_text->view());
  if (!chain) return tl::make_unexpected(std::move(chain.error()).wrap(files.certificate));
  auto key = read_private_key(key_text->view(), passphrase);
  if (!key) return tl::make_unexpected(std::move(key.error()).wrap(files.key));
  auto authority = Authority::load(std::move(*chain), std::move(*key), settings.trust_domain, now);
  if (!authority) return tl::make_unexpected(std::move(authority.error()).wrap(files.certificate));
  std::vector<Certificate> roots;
  if (!files.roots.empty()) {
    const auto text = read_small_file(files.roots, Privacy::kAny);
    auto read =
        text ? read_certificates(text->view()) : Result<std::vector<Certificate>>(tl::make_unexpected(text.error()));
    if (!read) return tl::make_unexpected(std::move(read.error()).wrap(files.roots));
    roots = std::move(*read);
  }
  return Authorities::given(std::move(*authority), std::move(roots));
}

}  // namespace

Result<std::unique_ptr<Authorities>> open_authorities(const Settings& settings, Time now) {
  auto passphrase = passphrase_of(settings);
  if (!passphrase) return tl::make_unexpected(std::move(passphrase.error()));
  if (!settings.authority.certificate.empty()) return given_authority(settings, *passphrase, now);
  if (passphrase->empty()) {
    return tl::make_unexpected(Error{"there is no passphrase to seal the authority's key with",
                                     "set authority.passphrase_file (openssl rand -base64 32 makes one), or give the "
                                     "service the credential identity-passphrase"});
  }
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(settings.authority.lifetime);
  return Authorities::open_own(
      {settings.state_dir + "/authorities.json", settings.trust_domain, settings.authority.key_type, hours},
      std::move(*passphrase), now);
}

}  // namespace cortexflow::identity
