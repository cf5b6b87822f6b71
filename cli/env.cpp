// SPDX-License-Identifier: Apache-2.0
// env list, use, add and remove.
#include <filesystem>

#include "agent/source/kubernetes/kubeconfig.h"
#include "cli/commands.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

Result<void> list_environments(const Context& context) {
  const auto environments = Environments::read(Environments::default_path());
  if (!environments) return tl::make_unexpected(environments.error());
  const auto current = context.env.empty() ? environments->current() : context.env;
  std::string trouble;
  ordered_json rows = ordered_json::array();
  for (const auto& one : environments->all(trouble)) {
    rows.push_back({{"current", one.name == current},
                    {"name", one.name},
                    {"kind", one.is_cluster() ? "cluster" : "machine"},
                    {"where", one.is_cluster() ? one.context : one.socket},
                    {"namespace", one.mesh_namespace},
                    {"kubeconfig", one.kubeconfig},
                    {"from", one.origin}});
  }
  auto shown = rows;
  for (auto& row : shown) row["mark"] = row["current"] == true ? "*" : " ";
  const Shown table{
      "environments",
      {{"", "/mark"}, {"NAME", "/name"}, {"KIND", "/kind"}, {"SOCKET OR CONTEXT", "/where"}, {"FROM", "/from"}},
      {{"NAMESPACE", "/namespace"}, {"KUBECONFIG", "/kubeconfig"}},
      "/name"};
  if (!show_document(context, {{"environments", rows}})) show(context, {{"environments", shown}}, table);
  if (!trouble.empty()) return fail("the kubeconfig's contexts are left out: {}", trouble);
  return {};
}

// A path that holds wherever cfcli is called the next time.
std::string absolute(const std::string& path) { return path.empty() ? path : std::filesystem::absolute(path).string(); }

Result<void> add(Environment added, const std::string& kubeconfig) {
  if (added.is_cluster() == added.context.empty()) {
    return tl::make_unexpected(
        Error{"an environment is a machine or a cluster", "give --socket PATH, or --context NAME of the kubeconfig"});
  }
  added.socket = absolute(added.socket);
  if (!kubeconfig.empty()) added.kubeconfig = {absolute(kubeconfig)};
  if (added.is_cluster()) {
    auto files = added.kubeconfig;
    if (files.empty()) {
      for (const auto& file : source::Kubeconfig::default_files()) files.push_back(absolute(file));
    }
    added.kubeconfig = files;
    const auto config = source::Kubeconfig::read(files);
    if (!config) return tl::make_unexpected(config.error());
    if (const auto access = config->access(added.context); !access) return tl::make_unexpected(access.error());
  }
  return Environments::add(Environments::default_path(), added);
}

}  // namespace

void add_env(CLI::App& app, Context& context) {
  auto* env =
      app.add_subcommand("env", "what cfcli talks to: machines, and clusters of the kubeconfig")->require_subcommand(1);
  env->add_subcommand("list", "those that there are; * marks the one that is used")->callback([&context] {
    context.has_names = true;
    context.run = [&context] { return list_environments(context); };
  });

  const auto name = std::make_shared<std::string>();
  auto* use = env->add_subcommand("use", "the one that commands are about from now on; local: this machine");
  use->add_option("name", *name, "of env list")->required();
  use->callback(
      [&context, name] { context.run = [name] { return Environments::use(Environments::default_path(), *name); }; });

  struct Given {
    Environment environment;
    std::string kubeconfig;
  };
  const auto given = std::make_shared<Given>();
  auto* one = env->add_subcommand("add", "add one, or change it");
  one->add_option("name", given->environment.name, "what it is called")->required();
  one->add_option("--socket", given->environment.socket, "of a machine: its agent's control socket");
  one->add_option("--context", given->environment.context, "of a cluster: the kubeconfig's context");
  one->add_option("--kubeconfig", given->kubeconfig, "of a cluster: the file (else KUBECONFIG, ~/.kube/config)");
  one->add_option("--namespace", given->environment.mesh_namespace,
                  "of a cluster: where the agents are (else they are looked for)");
  one->callback([&context, given] { context.run = [given] { return add(given->environment, given->kubeconfig); }; });

  auto* remove = env->add_subcommand("remove", "forget one that was added");
  remove->add_option("name", *name, "of env list")->required();
  remove->callback(
      [&context, name] { context.run = [name] { return Environments::remove(Environments::default_path(), *name); }; });
}

}  // namespace cortexflow::cli
