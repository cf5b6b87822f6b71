// SPDX-License-Identifier: Apache-2.0
#include "cli/environments.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "agent/base/fd.h"
#include "agent/base/replace_file.h"
#include "agent/source/kubernetes/kubeconfig.h"
#include "agent/source/manifest/field.h"
#include "agent/source/manifest/file_text.h"
#include "agent/source/manifest/yaml_reader.h"
#include "cli/output.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;
using source::Field;

constexpr std::size_t kFileOctetsMax = 1 << 20;
constexpr std::size_t kEnvironmentsMax = 1000;
constexpr std::size_t kNameMax = 253;
constexpr std::size_t kKubeconfigsMax = 100;

const Environment& local() {
  static const Environment kMachine{kLocal, kAgentSocket, {}, {}, {}, "built in"};
  return kMachine;
}

// Contexts of a kubeconfig have any names (an ARN, user@cluster): what prints, without spaces.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= kNameMax && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

Environment read_environment(const Field& item, const std::string& path) {
  item.only({"name", "socket", "kubeconfig", "context", "namespace"});
  Environment out;
  out.name = item["name"].required_text();
  if (!out.name.empty() && !is_name(out.name)) item["name"].expected("a name without spaces");
  out.socket = item["socket"].text();
  for (const Field& file : item["kubeconfig"].items(kKubeconfigsMax)) out.kubeconfig.push_back(file.text());
  out.context = item["context"].text();
  out.mesh_namespace = item["namespace"].text();
  out.origin = path;
  const bool cluster = !out.kubeconfig.empty() || !out.context.empty() || !out.mesh_namespace.empty();
  if (!out.socket.empty() && cluster) item["socket"].refuse("a machine has a socket, a cluster kubeconfig and context");
  if (out.socket.empty() && out.context.empty()) item.refuse("expected a socket, or a context");
  if (out.name == kLocal) item["name"].refuse("this name is this machine's");
  return out;
}

ordered_json to_json(const Environment& environment) {
  ordered_json out{{"name", environment.name}};
  if (!environment.is_cluster()) {
    out["socket"] = environment.socket;
    return out;
  }
  if (!environment.kubeconfig.empty()) out["kubeconfig"] = environment.kubeconfig;
  out["context"] = environment.context;
  if (!environment.mesh_namespace.empty()) out["namespace"] = environment.mesh_namespace;
  return out;
}

// Held until the file is replaced, so that of two who change it at a time none is lost.
Result<Fd> lock_beside(const std::string& path) {
  const auto directory = std::filesystem::path(path).parent_path();
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail_errno(fmt::format("cannot make {}", directory.string()), error.value());
  Fd lock(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock || flock(lock.get(), LOCK_EX) != 0)
    return fail_errno(fmt::format("cannot lock {}", directory.string()), errno);
  return lock;
}

}  // namespace

std::string Environments::default_path() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const std::string base =
      config != nullptr && *config != 0 ? config : std::string(home != nullptr ? home : "") + "/.config";
  return base + "/cortexflow/environments.yaml";
}

Result<Environments> Environments::read(const std::string& path) {
  Environments out;
  // A HOME that this user may not look into is somebody else's (sudo -E): no environments of theirs.
  if (faccessat(AT_FDCWD, path.c_str(), F_OK, AT_EACCESS) != 0 && errno == EACCES) return out;
  const auto text = source::read_text(path, kFileOctetsMax);
  if (!text) return tl::make_unexpected(text.error());
  if (!*text) return out;
  const std::string next = "mend it, or remove it and add the environments anew: cfcli env add";
  const auto tree = source::read_yaml({**text, 1});
  if (!tree)
    return tl::make_unexpected(Error{fmt::format("{}:{}: {}", path, tree.error().line, tree.error().reason), next});
  source::Document document{&*tree};
  const Field root(document);
  root.only({"current", "environments"});
  out.current_ = root["current"].text();
  for (const Field& item : root["environments"].items(kEnvironmentsMax)) {
    auto environment = read_environment(item, path);
    if (out.kept(environment.name) != out.kept_.end()) item["name"].refuse("this name is there twice");
    out.kept_.push_back(std::move(environment));
  }
  if (const auto& problem = document.problem) {
    return tl::make_unexpected(
        Error{fmt::format("{}:{}: {}: {}", path, problem->line, problem->field, problem->reason), next});
  }
  return out;
}

std::vector<Environment>::const_iterator Environments::kept(const std::string& name) const {
  return std::find_if(kept_.begin(), kept_.end(), [&](const auto& one) { return one.name == name; });
}

std::vector<Environment> Environments::all(std::string& trouble) const {
  auto out = kept_;
  out.push_back(local());
  const auto files = source::Kubeconfig::default_files();
  const bool there = std::any_of(files.begin(), files.end(), [](const auto& file) {
    std::error_code error;
    return std::filesystem::exists(file, error);
  });
  if (!there && std::getenv("KUBECONFIG") == nullptr) return out;
  const auto config = source::Kubeconfig::read(files);
  const auto contexts = config ? config->contexts() : tl::make_unexpected(config.error());
  if (!contexts) {
    trouble = contexts.error().to_string();
    return out;
  }
  for (const auto& context : *contexts) {
    const auto same = [&](const auto& one) { return one.name == context.name; };
    if (std::any_of(out.begin(), out.end(), same)) continue;
    out.push_back({context.name, {}, files, context.name, {}, context.file});
  }
  return out;
}

Result<Environment> Environments::find(const std::string& name) const {
  const auto wanted = name.empty() ? current() : name;
  if (const auto at = kept(wanted); at != kept_.end()) return *at;
  if (wanted == kLocal) return local();  // reads no kubeconfig
  std::string trouble;
  std::vector<std::string> names;
  for (auto& one : all(trouble)) {
    if (one.name == wanted) return std::move(one);
    names.push_back(one.name);
  }
  auto next = fmt::format("there are: {}; cfcli env add adds one", fmt::join(names, ", "));
  if (!trouble.empty()) next = fmt::format("the kubeconfig can't be used: {}", trouble);
  return tl::make_unexpected(Error{fmt::format("there is no environment {}", wanted), std::move(next)});
}

Result<void> Environments::write(const std::string& path) const {
  ordered_json document;
  if (!current_.empty()) document["current"] = current_;
  document["environments"] = ordered_json::array();
  for (const auto& environment : kept_) document["environments"].push_back(to_json(environment));
  return replace_file(path, "# Written by `cfcli env`.\n" + yaml(document));
}

Result<void> Environments::add(const std::string& path, const Environment& added) {
  if (!is_name(added.name) || added.name == kLocal) {
    return fail("{} is no name for an environment: letters, digits and signs without spaces, but not \"local\"",
                added.name);
  }
  const auto lock = lock_beside(path);
  if (!lock) return tl::make_unexpected(lock.error());
  auto environments = read(path);
  if (!environments) return tl::make_unexpected(environments.error());
  std::erase_if(environments->kept_, [&](const auto& one) { return one.name == added.name; });
  if (environments->kept_.size() >= kEnvironmentsMax)
    return fail("{} environments are there already", kEnvironmentsMax);
  environments->kept_.push_back(added);
  return environments->write(path);
}

Result<void> Environments::use(const std::string& path, const std::string& name) {
  const auto lock = lock_beside(path);
  if (!lock) return tl::make_unexpected(lock.error());
  auto environments = read(path);
  if (!environments) return tl::make_unexpected(environments.error());
  const auto found = environments->find(name);
  if (!found) return tl::make_unexpected(found.error());
  environments->current_ = name == kLocal ? "" : name;
  return environments->write(path);
}

Result<void> Environments::remove(const std::string& path, const std::string& name) {
  const auto lock = lock_beside(path);
  if (!lock) return tl::make_unexpected(lock.error());
  auto environments = read(path);
  if (!environments) return tl::make_unexpected(environments.error());
  const auto removed = std::erase_if(environments->kept_, [&](const auto& one) { return one.name == name; });
  if (removed == 0) {
    const auto found = environments->find(name);
    if (!found) return tl::make_unexpected(found.error());
    return tl::make_unexpected(
        Error{fmt::format("{} was not added by cfcli env: it comes from {}", name, found->origin),
              "kubectl config delete-context removes a context"});
  }
  if (environments->current_ == name) environments->current_.clear();
  return environments->write(path);
}

}  // namespace cortexflow::cli
