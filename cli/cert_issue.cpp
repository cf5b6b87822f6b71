// SPDX-License-Identifier: Apache-2.0
// cert issue and rotate.  A key is made here, in memory; cfidentity sees a signing request alone.
#include "agent/base/replace_file.h"
#include "agent/control/time_text.h"
#include "cli/commands.h"
#include "identity/certificates.h"
#include "identity/csr.h"
#include "identity/keys.h"
#include "identity/small_file.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

struct IssueGiven {
  std::string id, csr, directory, lifetime, key_type = "ec-p256";
  std::vector<std::string> dns_names;
  bool revoke_old = false;
};

// One file, so that key and certificate change together.
std::string svid_path(const std::string& directory) { return directory + "/svid.pem"; }

// Whose certificate is there; none: nobody's.
std::optional<std::string> holder_of(const std::string& path) {
  const auto text = identity::read_small_file(path, identity::Privacy::kAny);
  if (!text) return std::nullopt;
  const auto chain = identity::read_certificates(text->view());
  if (!chain) return std::nullopt;
  const auto names = identity::names_of(*chain->front());
  if (!names) return std::nullopt;
  return names->id.text();
}

Result<ordered_json> ask(const Context& context, const IssueGiven& given, const std::string& csr) {
  ordered_json body{{"csr", csr}};
  if (!given.lifetime.empty()) {
    const auto length = control::parse_duration(given.lifetime);
    if (!length) return fail("--lifetime {}: expected a duration such as 90m, 24h or 30d", given.lifetime);
    body["lifetime_seconds"] = std::chrono::duration_cast<std::chrono::seconds>(*length).count();
  }
  return context.identity_client().post("/v1/certificates", body);
}

void show_issued(const Context& context, const ordered_json& document) {
  if (show_document(context, document)) return;
  fmt::print("{}", table(ordered_json::array({document}), {{"SERIAL", "/serial"},
                                                           {"SPIFFE ID", "/spiffe_id"},
                                                           {"NOT AFTER", "/not_after"},
                                                           {"RENEW AT", "/renew_at"}}));
}

Result<void> write_svid(const std::string& directory, EVP_PKEY* key, const ordered_json& document) {
  const auto pem = identity::private_key_pem(key);
  if (!pem) return tl::make_unexpected(pem.error());
  const auto chain = document.at("chain").get<std::string>();
  std::string text;
  text.reserve(pem->view().size() + chain.size());  // so that no copy of the key is left behind by growth
  text.append(pem->view()).append(chain);
  auto written = replace_file(svid_path(directory), text);
  OPENSSL_cleanse(text.data(), text.size());
  if (!written) return written;
  return replace_file(directory + "/bundle.pem", document.at("bundle").get<std::string>());
}

// A new key, a certificate for it, both in the directory.
Result<void> make_svid(const Context& context, const IssueGiven& given) {
  const auto id = identity::SpiffeId::parse(given.id);
  if (!id) return tl::make_unexpected(id.error());
  const auto holder = holder_of(svid_path(given.directory));
  if (holder && *holder != id->text()) {
    return tl::make_unexpected(Error{fmt::format("{} is {}'s", svid_path(given.directory), *holder),
                                     "choose another directory, or remove that file"});
  }
  const auto type = identity::parse_key_type(given.key_type);
  if (!type) return tl::make_unexpected(type.error());
  const auto key = identity::generate_key(*type);
  if (!key) return tl::make_unexpected(key.error());
  const auto csr = identity::make_csr(key->get(), *id, given.dns_names);
  if (!csr) return tl::make_unexpected(csr.error());
  const auto document = ask(context, given, *csr);
  if (!document) return tl::make_unexpected(document.error());
  if (auto written = write_svid(given.directory, key->get(), *document); !written) return written;
  show_issued(context, *document);
  return {};
}

Result<void> issue(const Context& context, const IssueGiven& given) {
  if (given.csr.empty()) return make_svid(context, given);
  const auto csr = identity::read_small_file(given.csr, identity::Privacy::kAny);
  if (!csr) return tl::make_unexpected(csr.error());
  const auto document = ask(context, given, std::string(csr->view()));
  if (!document) return tl::make_unexpected(document.error());
  if (context.is_table()) {
    fmt::print("{}", document->at("chain").get<std::string>());
    return {};
  }
  show_issued(context, *document);
  return {};
}

Result<void> rotate(const Context& context, IssueGiven given) {
  const auto text = identity::read_small_file(svid_path(given.directory), identity::Privacy::kAny);
  if (!text) return tl::make_unexpected(text.error());
  const auto old = identity::read_certificates(text->view());
  if (!old) return tl::make_unexpected(old.error());
  const auto* leaf = old->front().get();
  const auto read = identity::names_of(*leaf);
  if (!read) return tl::make_unexpected(Error(read.error()).wrap(svid_path(given.directory)));
  given.id = read->id.text();
  given.dns_names = read->dns_names;
  if (auto made = make_svid(context, given); !made || !given.revoke_old) return made;
  const auto revoked = context.identity_client().post(
      "/v1/revocations", {{"serial", identity::serial_text(leaf)}, {"reason", "superseded"}});
  if (!revoked) return tl::make_unexpected(Error(revoked.error()).wrap("the old certificate is not revoked"));
  return {};
}

void add_key_flags(CLI::App& command, const std::shared_ptr<IssueGiven>& given) {
  command.add_option("--lifetime", given->lifetime, "such as 12h; without, what cfidentity is set to");
  command.add_option("--key-type", given->key_type, "of the key that is made")
      ->check(CLI::IsMember(identity::key_type_texts()))
      ->capture_default_str();
}

}  // namespace

void add_cert_issue(CLI::App& cert, Context& context) {
  const auto given = std::make_shared<IssueGiven>();

  auto* from_csr = cert.add_subcommand("issue", "a certificate: for a new key, or for a signing request");
  auto* id = from_csr->add_option("spiffe-id", given->id, "of the workload, for a new key");
  auto* out =
      from_csr->add_option("--out", given->directory, "the directory for svid.pem (key and chain) and bundle.pem");
  auto* csr = from_csr->add_option("--csr", given->csr, "a signing request, in PEM; the chain is printed");
  from_csr->add_option("--dns", given->dns_names, "a DNS name for the certificate of a new key")
      ->expected(1)
      ->take_all()
      ->excludes(csr);
  add_key_flags(*from_csr, given);
  id->needs(out);
  out->needs(id);
  csr->excludes(id)->excludes(out);
  from_csr->callback([&context, given, csr, id] {
    if (csr->count() + id->count() == 0) throw CLI::RequiredError("spiffe-id with --out, or --csr");
    context.run = [&context, given] { return issue(context, *given); };
  });

  auto* again = cert.add_subcommand("rotate", "a new key and certificate for the workload whose svid.pem is there");
  again->add_option("directory", given->directory, "as --out of cert issue")->required();
  again->add_flag("--revoke-old", given->revoke_old, "put the certificate before on the revocation list");
  add_key_flags(*again, given);
  again->callback([&context, given] { context.run = [&context, given] { return rotate(context, *given); }; });
}

}  // namespace cortexflow::cli
