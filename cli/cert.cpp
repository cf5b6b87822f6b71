// SPDX-License-Identifier: Apache-2.0
// cert list, revoke, verify and bundle: what cfidentity has issued, and whom it vouches for.
#include <fstream>
#include <iterator>

#include "agent/base/replace_file.h"
#include "cli/commands.h"
#include "identity/spiffe_id.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

struct CertGiven {
  std::string id, state = "all", serial, reason = "unspecified", file, step;
};

Result<void> show_certificates(const Context& context, const Result<ordered_json>& document) {
  if (!document) return tl::make_unexpected(document.error());
  show(context, *document,
       {"certificates",
        {{"SERIAL", "/serial"}, {"SPIFFE ID", "/spiffe_id"}, {"STATE", "/state"}, {"NOT AFTER", "/not_after"}},
        {{"NOT BEFORE", "/not_before"}, {"ISSUER", "/issuer"}, {"REVOKED", "/revoked_at"}, {"REASON", "/reason"}},
        "/serial"});
  return {};
}

Result<void> show_bundle(const Context& context, const Result<ordered_json>& document) {
  if (!document) return tl::make_unexpected(document.error());
  show(context, *document,
       {"roots",
        {{"KEY ID", "/key_id"}, {"ROLE", "/role"}, {"NOT AFTER", "/not_after"}},
        {{"SUBJECT", "/subject"}},
        "/key_id"});
  return {};
}

Result<void> list_certificates(const Context& context, const CertGiven& given) {
  Client::Parameters parameters{{"state", given.state}};
  if (!given.id.empty()) parameters.emplace("spiffe_id", given.id);
  return show_certificates(context, context.identity_client().get("/v1/certificates", parameters));
}

Result<void> verify_file(const Context& context, const CertGiven& given) {
  std::ifstream file(given.file);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) return fail("cannot read {}", given.file);
  // What lies beside the certificates, a key above all, stays here.
  std::string chain;
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  for (auto at = text.find(kBegin); at != std::string::npos; at = text.find(kBegin, at + 1)) {
    const auto end = text.find(kEnd, at);
    if (end != std::string::npos) chain += text.substr(at, end + kEnd.size() - at) + "\n";
  }
  const auto document = context.identity_client().post("/v1/verification", {{"chain", chain}});
  if (!document) return tl::make_unexpected(document.error());
  const bool valid = document->at("valid").get<bool>();
  if (!show_document(context, *document) && valid) {
    fmt::print("valid: {}, serial {}\n", cell(*document, "/spiffe_id"), cell(*document, "/serial"));
  }
  if (valid) return {};
  return fail("{} is not valid: {}", given.file, document->at("problem").get<std::string>());
}

Result<void> take_bundle(const Context& context, const CertGiven& given) {
  const auto document = context.identity_client().get("/v1/bundle");
  if (!document || given.file.empty()) return show_bundle(context, document);
  return replace_file(given.file, document->at("bundle").get<std::string>());
}

}  // namespace

void add_cert(CLI::App& app, Context& context) {
  auto* cert =
      app.add_subcommand("cert",
                         "certificates of workloads, of the authority on this machine, on a node (--env, --node; "
                         "inside the agent, say), or at --server, as the chart's cfidentity")
          ->require_subcommand(1);
  cert->add_option("--identity-socket", context.identity_socket, "cfidentity's socket")
      ->envname("CORTEXFLOW_IDENTITY_SOCKET")
      ->capture_default_str();
  cert->add_option("--server", context.identity_server.url,
                   "cfidentity over HTTPS in place of the socket: https://HOST:PORT")
      ->envname("CORTEXFLOW_IDENTITY_SERVER");
  auto* server = cert->get_option("--server");
  cert->add_option("--token-file", context.identity_server.token_file, "for --server: the token of a service account")
      ->envname("CORTEXFLOW_IDENTITY_TOKEN_FILE")
      ->needs(server);
  cert->add_option("--ca", context.identity_server.ca, "for --server: the roots that may vouch for it, in PEM")
      ->envname("CORTEXFLOW_IDENTITY_CA")
      ->needs(server);
  const auto given = std::make_shared<CertGiven>();
  const auto runs = [&context, given](CLI::App* command, Result<void> (*function)(const Context&, const CertGiven&)) {
    command->callback([&context, given, function, command] {
      context.has_names = command->get_name() != "verify";
      context.run = [&context, given, function] { return function(context, *given); };
    });
  };

  auto* list = cert->add_subcommand("list", "what was issued; without root, what is one's own");
  list->add_option("--spiffe-id", given->id, "only of this workload")
      ->check([](const std::string& text) -> std::string {
        const auto id = identity::SpiffeId::parse(text);
        return id ? "" : id.error().to_string();
      });
  list->add_option("--state", given->state, "valid, expired, revoked or all")
      ->check(CLI::IsMember({"valid", "expired", "revoked", "all"}))
      ->capture_default_str();
  runs(list, list_certificates);

  auto* revoke = cert->add_subcommand("revoke", "put a certificate on the revocation list");
  revoke->add_option("serial", given->serial, "its serial number, as cert list shows it")->required();
  revoke->add_option("--reason", given->reason, "why")
      ->check(CLI::IsMember({"unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation",
                             "privilegeWithdrawn"}))
      ->capture_default_str();
  runs(revoke, [](const Context& at, const CertGiven& what) {
    return show_certificates(
        at, at.identity_client().post("/v1/revocations", {{"serial", what.serial}, {"reason", what.reason}}));
  });

  auto* verify = cert->add_subcommand("verify", "is this certificate vouched for, and not revoked?");
  verify->add_option("file", given->file, "PEM, the workload's certificate first")->required();
  runs(verify, verify_file);

  auto* bundle = cert->add_subcommand("bundle", "the roots that vouch for certificates");
  bundle->add_option("--out", given->file, "write them to this file, in PEM");
  runs(bundle, take_bundle);

  auto* rotate =
      cert->add_subcommand("rotate-root", "another root: prepare puts it into the bundle, activate signs with it");
  rotate->add_option("step", given->step, "prepare or activate")
      ->required()
      ->check(CLI::IsMember({"prepare", "activate"}));
  runs(rotate, [](const Context& at, const CertGiven& what) {
    return show_bundle(at, at.identity_client().post("/v1/rotation", {{"step", what.step}}));
  });

  add_cert_issue(*cert, context);
}

}  // namespace cortexflow::cli
