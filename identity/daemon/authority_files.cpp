// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/authority_files.h"

#include <sys/stat.h>

#include <algorithm>
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

Result<std::vector<Certificate>> certificates_in(const std::string& path) {
  const auto text = read_small_file(path, Privacy::kAny);
  if (!text) return tl::make_unexpected(text.error());
  auto read = read_certificates(text->view());
  if (!read) return tl::make_unexpected(std::move(read.error()).wrap(path));
  return read;
}

// Up to the root, where it is among the further roots: tls.crt ends before it, ca.crt has it.
void complete(std::vector<Certificate>& chain, const std::vector<Certificate>& roots) {
  while (chain.size() < kChainMax && !is_self_signed(chain.back().get())) {
    const auto issuer = std::find_if(roots.begin(), roots.end(), [&](const Certificate& one) {
      return X509_check_issued(one.get(), chain.back().get()) == X509_V_OK;
    });
    if (issuer == roots.end()) return;
    chain.push_back(copy_of(issuer->get()));
  }
}

Result<AuthorityFiles::Given> read_given(const Settings& settings, Time now) {
  const auto passphrase = passphrase_of(settings);
  if (!passphrase) return tl::make_unexpected(passphrase.error());
  const auto& files = settings.authority;
  auto chain = certificates_in(files.certificate);
  if (!chain) return tl::make_unexpected(std::move(chain.error()));
  const auto key_text = read_small_file(files.key, Privacy::kOwner);
  if (!key_text) return tl::make_unexpected(key_text.error());
  auto key = read_private_key(key_text->view(), *passphrase);
  if (!key) return tl::make_unexpected(std::move(key.error()).wrap(files.key));
  std::vector<Certificate> roots;
  if (!files.roots.empty()) {
    auto read = certificates_in(files.roots);
    if (!read) return tl::make_unexpected(std::move(read.error()));
    roots = std::move(*read);
  }
  complete(*chain, roots);
  auto authority = Authority::load(std::move(*chain), std::move(*key), settings.trust_domain, now);
  if (!authority) return tl::make_unexpected(std::move(authority.error()).wrap(files.certificate));
  return AuthorityFiles::Given{std::move(*authority), std::move(roots)};
}

}  // namespace

Result<std::unique_ptr<Authorities>> open_authorities(const Settings& settings, Storage& storage, Time now) {
  if (!settings.authority.certificate.empty()) {
    auto given = read_given(settings, now);
    if (!given) return tl::make_unexpected(std::move(given.error()));
    auto former = storage.open_former_roots();
    if (!former) return tl::make_unexpected(std::move(former.error()));
    return Authorities::open_given(std::move(given->authority), std::move(given->extra_roots), std::move(*former));
  }
  auto passphrase = passphrase_of(settings);
  if (!passphrase) return tl::make_unexpected(std::move(passphrase.error()));
  if (passphrase->empty()) {
    return tl::make_unexpected(Error{"there is no passphrase to seal the authority's key with",
                                     "set authority.passphrase_file (openssl rand -base64 32 makes one), or give the "
                                     "service the credential identity-passphrase"});
  }
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(settings.authority.lifetime);
  auto kept = storage.open_authorities();
  if (!kept) return tl::make_unexpected(std::move(kept.error()));
  return Authorities::open_own({std::move(*kept), settings.trust_domain, settings.authority.key_type, hours},
                               std::move(*passphrase), now);
}

AuthorityFiles::AuthorityFiles(const Settings& settings) : settings_(settings), seen_(stamp()) {}

// Another where a file has become another one, or was written to.
std::string AuthorityFiles::stamp() const {
  std::string out;
  for (const auto* path : {&settings_.authority.certificate, &settings_.authority.key, &settings_.authority.roots}) {
    struct stat status{};
    if (path->empty() || stat(path->c_str(), &status) != 0) {
      out += "none;";
      continue;
    }
    out += fmt::format("{}:{}:{}:{}.{};", status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
                       status.st_mtim.tv_nsec);
  }
  return out;
}

Result<std::optional<AuthorityFiles::Given>> AuthorityFiles::changed(Time now) {
  auto current = stamp();
  if (current == seen_) return std::nullopt;
  auto given = read_given(settings_, now);
  // Read while they changed: another look shows what became of it.
  if (stamp() != current) return std::nullopt;
  seen_ = std::move(current);
  if (!given) return tl::make_unexpected(std::move(given.error()));
  return std::optional(std::move(*given));
}

}  // namespace cortexflow::identity
