// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/token.h"

#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "agent/model/time_text.h"
#include "agent/source/kubernetes/child.h"
#include "agent/source/manifest/file_text.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kTokenOctetsMax = 64 << 10;
constexpr std::chrono::seconds kBeforeEnd{10};  // a credential is asked for anew before it ends

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string{};
}

std::string without_space(std::string text) {
  const auto last = text.find_last_not_of(" \t\r\n");
  text.erase(last == std::string::npos ? 0 : last + 1);
  return text;
}

}  // namespace

Result<Credential> CredentialSource::get(Clock::time_point now) {
  if (good_until_ && now < *good_until_) return latest_;
  if (!access_.exec.command.empty()) return run_plugin(now);
  latest_ = {access_.token, access_.client_certificate, access_.client_key};
  if (!access_.token_file.empty()) {
    auto text = read_text(access_.token_file, kTokenOctetsMax);
    if (!text) return tl::make_unexpected(std::move(text.error()));
    if (!*text) return fail("{}: there is no such file", access_.token_file);
    latest_.token = without_space(std::move(**text));
  }
  good_until_ = now + kFileGood;
  return latest_;
}

Result<Credential> CredentialSource::run_plugin(Clock::time_point now) {
  const auto& plugin = access_.exec;
  const nlohmann::json asked = {
      {"apiVersion", plugin.api_version}, {"kind", "ExecCredential"}, {"spec", {{"interactive", false}}}};
  auto environment = plugin.environment;
  environment.emplace_back("KUBERNETES_EXEC_INFO", asked.dump());
  auto printed = child_output(plugin.command, environment, kPluginMax, kTokenOctetsMax);
  if (!printed) {
    auto error = std::move(printed.error()).wrap(fmt::format("credential plugin {}", plugin.command.front()));
    if (!plugin.install_hint.empty()) error.next_step = plugin.install_hint;
    return tl::make_unexpected(std::move(error));
  }
  const auto credential = nlohmann::json::parse(*printed, nullptr, false);
  const bool good = credential.is_object() && text_of(credential, "kind") == "ExecCredential" &&
                    text_of(credential, "apiVersion") == plugin.api_version && credential.contains("status") &&
                    credential["status"].is_object();
  if (!good)
    return fail("credential plugin {}: expected an ExecCredential of {}", plugin.command.front(), plugin.api_version);
  const auto& status = credential["status"];
  latest_ = {text_of(status, "token"), text_of(status, "clientCertificateData"), text_of(status, "clientKeyData")};
  if (latest_.token.empty() && latest_.client_certificate.empty()) {
    return fail("credential plugin {}: it gave neither a token nor a certificate", plugin.command.front());
  }
  good_until_ = Clock::time_point::max();
  if (const std::string end = text_of(status, "expirationTimestamp"); !end.empty()) {
    const auto at = model::parse_time(end);
    if (!at) return fail("credential plugin {}: expirationTimestamp is no RFC 3339 time", plugin.command.front());
    const auto left = *at - std::chrono::system_clock::now() - kBeforeEnd;
    good_until_ = now + std::chrono::duration_cast<Clock::duration>(left);
  }
  return latest_;
}

}  // namespace cortexflow::source
