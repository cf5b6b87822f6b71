// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/kubeconfig.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "agent/source/kubernetes/base64.h"
#include "agent/source/manifest/field.h"
#include "agent/source/manifest/file_text.h"
#include "agent/source/manifest/yaml_reader.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kConfigOctetsMax = 1 << 20;
constexpr std::size_t kItemsMax = 1000;

// Reads what files of one kubeconfig name: a relative path is relative to it.
class Reader {
 public:
  explicit Reader(const std::string& path) : directory_(std::filesystem::path(path).parent_path()) {}

  // WHAT-data in base64, or the file WHAT.
  std::string data_or_file(const Field& holder, std::string_view file_key, const std::string& data_key) const {
    const Field data = holder[data_key];
    if (data.present()) {
      auto decoded = from_base64(data.text());
      if (!decoded) data.refuse("expected base64");  // what is there may be a key
      return decoded.value_or("");
    }
    const std::string path = file(holder[file_key]);
    if (path.empty()) return {};
    auto text = read_whole(path, kConfigOctetsMax);
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

void read_cluster(const Field& cluster, const Reader& reader, ApiAccess& access) {
  access.servers.push_back(cluster["server"].required_text());
  const std::string& server = access.servers.front();
  if (!server.starts_with("https://") && !server.starts_with("http://"))
    cluster["server"].expected("https://HOST:PORT");
  access.proxy = cluster["proxy-url"].text();
  access.ca = reader.data_or_file(cluster, "certificate-authority", "certificate-authority-data");
  access.server_name = cluster["tls-server-name"].text();
  access.insecure = cluster["insecure-skip-tls-verify"].flag(false);
}

void read_user(const Field& user, const Reader& reader, ApiAccess& access) {
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

}  // namespace

// The files with the problems that were found in them.
class Kubeconfig::Documents {
 public:
  explicit Documents(const std::vector<File>& files) : files_(files) {
    for (const auto& file : files) documents_.push_back({&file.tree});
  }

  [[nodiscard]] std::size_t size() const { return documents_.size(); }
  [[nodiscard]] Field root(std::size_t file) { return Field(documents_[file]); }

  struct Found {
    Field field;
    std::size_t file;
  };
  // The entry of that name in a list of {name, WHAT: {...}}.
  Found named(std::string_view list, const std::string& name, std::string_view what) {
    for (std::size_t file = 0; file < size(); ++file) {
      for (const Field& item : root(file)[list].items(kItemsMax)) {
        if (item["name"].text() == name) return {item[what], file};
      }
    }
    root(0)[list].refuse("expected an entry with the name " + source::quoted(name));
    return {root(0)["none"], 0};
  }

  std::string current_context() {
    for (std::size_t file = 0; file < size(); ++file) {
      if (auto current = root(file)["current-context"].text(); !current.empty()) return current;
    }
    return root(0)["current-context"].required_text();
  }

  [[nodiscard]] std::optional<Error> problem() const {
    for (std::size_t i = 0; i < documents_.size(); ++i) {
      if (!documents_[i].problem) continue;
      const auto& problem = *documents_[i].problem;
      return Error{fmt::format("{}:{}: {}: {}", files_[i].path, problem.line, problem.field, problem.reason),
                   "kubectl config view --raw shows what kubectl makes of it"};
    }
    return std::nullopt;
  }

 private:
  const std::vector<File>& files_;
  std::vector<Document> documents_;
};

std::vector<std::string> Kubeconfig::default_files() {
  std::vector<std::string> out;
  const char* list = std::getenv("KUBECONFIG");
  std::string_view left = list != nullptr ? list : "";
  while (!left.empty()) {
    const auto end = std::min(left.find(':'), left.size());
    if (end > 0) out.emplace_back(left.substr(0, end));
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  if (!out.empty()) return out;
  if (const char* home = std::getenv("HOME")) out.push_back(std::string(home) + "/.kube/config");
  return out;
}

Result<Kubeconfig> Kubeconfig::read(const std::vector<std::string>& paths) {
  Kubeconfig out;
  for (const auto& path : paths) {
    auto text = read_text(path, kConfigOctetsMax);
    if (!text) return tl::make_unexpected(std::move(text.error()));
    if (!*text) continue;
    auto tree = read_yaml({**text, 1});
    if (!tree) return fail("{}:{}: {}", path, tree.error().line, tree.error().reason);
    out.files_.push_back({path, std::move(*tree)});
  }
  if (!out.files_.empty()) return out;
  return tl::make_unexpected(Error{fmt::format("{}: there is no such file", fmt::join(paths, ", ")),
                                   "name a kubeconfig, as with KUBECONFIG for kubectl"});
}

Result<std::vector<Kubeconfig::Context>> Kubeconfig::contexts() const {
  Documents documents(files_);
  std::vector<Context> out;
  std::set<std::string> seen;
  for (std::size_t file = 0; file < documents.size(); ++file) {
    for (const Field& item : documents.root(file)["contexts"].items(kItemsMax)) {
      Context context{item["name"].required_text(), item["context"]["cluster"].text(), {}, files_[file].path};
      if (!seen.insert(context.name).second) continue;
      for (std::size_t other = 0; other < documents.size() && context.server.empty(); ++other) {
        for (const Field& cluster : documents.root(other)["clusters"].items(kItemsMax)) {
          if (cluster["name"].text() == context.cluster) context.server = cluster["cluster"]["server"].text();
        }
      }
      out.push_back(std::move(context));
    }
  }
  if (auto problem = documents.problem()) return tl::make_unexpected(std::move(*problem));
  return out;
}

Result<ApiAccess> Kubeconfig::access(const std::string& name) const {
  Documents documents(files_);
  ApiAccess access;
  const auto context = documents.named("contexts", name.empty() ? documents.current_context() : name, "context").field;
  const auto cluster = documents.named("clusters", context["cluster"].required_text(), "cluster");
  read_cluster(cluster.field, Reader(files_[cluster.file].path), access);
  if (const std::string user_name = context["user"].text(); !user_name.empty()) {
    const auto user = documents.named("users", user_name, "user");
    read_user(user.field, Reader(files_[user.file].path), access);
  }
  if (auto problem = documents.problem()) return tl::make_unexpected(std::move(*problem));
  return access;
}

}  // namespace cortexflow::source
