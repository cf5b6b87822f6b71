// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/api_access.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "agent/source/kubernetes/base64.h"
#include "agent/source/manifest/field.h"
#include "agent/source/manifest/file_text.h"
#include "agent/source/manifest/yaml_reader.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kConfigOctetsMax = 1 << 20;
constexpr std::size_t kItemsMax = 1000;
constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

Result<std::string> whole_file(const std::string& path) {
  auto text = read_text(path, kConfigOctetsMax);
  if (!text) return tl::make_unexpected(std::move(text.error()));
  if (!*text) return fail("{}: there is no such file", path);
  return std::move(**text);
}

Result<ApiAccess> in_cluster() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (!host || !port) {
    return tl::make_unexpected(Error{"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set",
                                     "in-cluster works in a pod; elsewhere name a kubeconfig file"});
  }
  ApiAccess access;
  const bool v6 = std::string_view(host).find(':') != std::string_view::npos;
  access.servers.push_back(v6 ? fmt::format("https://[{}]:{}", host, port) : fmt::format("https://{}:{}", host, port));
  auto ca = whole_file(std::string(kServiceAccount) + "/ca.crt");
  if (!ca) return tl::make_unexpected(std::move(ca.error()));
  access.ca = std::move(*ca);
  access.token_file = std::string(kServiceAccount) + "/token";
  return access;
}

// The entry of that name in a list of {name, WHAT: {...}}.
Field named(const Field& list, const std::string& name, std::string_view what) {
  for (const Field& item : list.items(kItemsMax)) {
    if (item["name"].text() == name) return item[what];
  }
  list.refuse("expected an entry with the name " + source::quoted(name));
  return list["none"];
}

class Reader {
 public:
  explicit Reader(const std::string& path) : directory_(std::filesystem::path(path).parent_path()) {}

  // WHAT-data in base64, or the file WHAT: a relative path is relative to the kubeconfig's.
  std::string data_or_file(const Field& holder, std::string_view file_key, const std::string& data_key) const {
    const Field data = holder[data_key];
    if (data.present()) {
      auto decoded = from_base64(data.text());
      if (!decoded) data.expected("base64");
      return decoded.value_or("");
    }
    const std::string path = file(holder[file_key]);
    if (path.empty()) return {};
    auto text = whole_file(path);
    if (!text) holder[file_key].refuse(text.error().to_string());
    return text.value_or("");
  }

  [[nodiscard]] std::string file(const Field& path) const {
    const std::string text = path.text();
    return text.empty() || text.front() == '/' ? text : (directory_ / text).string();
  }

  [[nodiscard]] ExecPlugin plugin(const Field& exec) const {
    ExecPlugin out;
    if (!exec.present()) return out;
    std::string command = exec["command"].required_text();
    // As client-go: a name without a slash is looked up in PATH.
    if (command.find('/') != std::string::npos && command.front() != '/') command = (directory_ / command).string();
    out.command.push_back(std::move(command));
    for (const Field& argument : exec["args"].items(kItemsMax)) out.command.push_back(argument.text());
    for (const Field& variable : exec["env"].items(kItemsMax)) {
      out.environment.emplace_back(variable["name"].required_text(), variable["value"].text());
    }
    constexpr std::array<std::string_view, 2> kVersions{"client.authentication.k8s.io/v1",
                                                        "client.authentication.k8s.io/v1beta1"};
    out.api_version = exec["apiVersion"].required_text();
    if (std::find(kVersions.begin(), kVersions.end(), out.api_version) == kVersions.end()) {
      exec["apiVersion"].expected("client.authentication.k8s.io/v1 or v1beta1");
    }
    out.install_hint = exec["installHint"].text();
    return out;
  }

 private:
  std::filesystem::path directory_;
};

}  // namespace

Result<ApiAccess> read_api_access(const std::string& path) {
  if (path == kInCluster) return in_cluster();
  const auto text = whole_file(path);
  if (!text) return tl::make_unexpected(text.error());
  const auto tree = read_yaml({*text, 1});
  if (!tree) return fail("{}:{}: {}", path, tree.error().line, tree.error().reason);
  Document document{&*tree};
  const Field config(document);
  const Reader reader(path);
  ApiAccess access;
  const Field context = named(config["contexts"], config["current-context"].required_text(), "context");
  const Field cluster = named(config["clusters"], context["cluster"].required_text(), "cluster");
  access.servers.push_back(cluster["server"].required_text());
  const std::string& server = access.servers.front();
  if (!server.starts_with("https://") && !server.starts_with("http://"))
    cluster["server"].expected("https://HOST:PORT");
  access.proxy = cluster["proxy-url"].text();
  access.ca = reader.data_or_file(cluster, "certificate-authority", "certificate-authority-data");
  access.server_name = cluster["tls-server-name"].text();
  access.insecure = cluster["insecure-skip-tls-verify"].flag(false);
  if (const std::string user_name = context["user"].text(); !user_name.empty()) {
    const Field user = named(config["users"], user_name, "user");
    access.client_certificate = reader.data_or_file(user, "client-certificate", "client-certificate-data");
    access.client_key = reader.data_or_file(user, "client-key", "client-key-data");
    access.token_file = reader.file(user["tokenFile"]);
    if (access.token_file.empty()) access.token = user["token"].text();
    access.exec = reader.plugin(user["exec"]);
    for (const std::string_view unknown : {"auth-provider", "username", "as"}) {
      if (user[unknown].present())
        user[unknown].refuse("this way to authenticate is not supported; use a token, a client certificate or exec");
    }
  }
  if (document.problem) {
    const auto& problem = *document.problem;
    return tl::make_unexpected(Error{fmt::format("{}:{}: {}: {}", path, problem.line, problem.field, problem.reason),
                                     "kubectl config view --raw shows what kubectl makes of it"});
  }
  return access;
}

}  // namespace cortexflow::source
