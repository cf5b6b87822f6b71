// SPDX-License-Identifier: Apache-2.0
// policy apply and delete: the operator's own policies.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/commands.h"
#include "cli/policy_file.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

Result<void> show_changes(const Context& context, const Result<ordered_json>& document) {
  if (!document) return tl::make_unexpected(document.error());
  show(context, *document, {"changes", {{"KIND", "/kind"}, {"NAME", "/name"}, {"CHANGE", "/change"}}, {}, "/name"});
  for (const auto& remark : document->at("remarks")) {
    fmt::print(stderr, "cfcli: {}\n", printable(remark.get<std::string>()));
  }
  if (document->at("dry_run").get<bool>()) {
    if (context.is_table()) fmt::print("a dry run: nothing was changed\n");
    return {};
  }
  if (document->at("in_force").get<bool>()) return {};
  return tl::make_unexpected(
      Error{"it is kept, and not in force yet: " + printable(document->at("problem").get<std::string>()),
            "see cfcli policy list and cfcli status; the agent goes on trying"});
}

Result<void> remove_policy(const Context& context, const std::string& name) {
  const auto first = name.find('/'), last = name.rfind('/');
  Client::Parameters parameters{{"name", first == last ? name : name.substr(first + 1)}};
  if (first != last) parameters.emplace("kind", name.substr(0, first));
  return show_changes(context, context.client().remove("/v1/policies", parameters));
}

}  // namespace

Result<std::string> read_policy_file(const std::string& path) {
  std::ifstream file;
  std::error_code ignored;
  if (path != "-") {
    if (std::filesystem::is_directory(path, ignored))
      return fail("{} is a directory: give a file, or - for standard input", path);
    file.open(path, std::ios::binary);
    if (!file) return fail_errno("cannot read " + path, errno);
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad() || (path != "-" && !file)) return fail("cannot read {}", path);
  return text;
}

void add_policy_apply(CLI::App& policy, Context& context) {
  struct Given {
    std::string file, name;
    bool dry_run = false;
  };
  const auto given = std::make_shared<Given>();
  auto* apply = policy.add_subcommand(
      "apply", "have these AuthorizationPolicies and NetworkPolicies enforced, beside the manifests'; all or none");
  apply->add_option("-f,--filename", given->file, "YAML or JSON, several documents, or - for standard input")
      ->required();
  apply->add_flag("--dry-run", given->dry_run, "have the agent check them, and change nothing");
  apply->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given]() -> Result<void> {
      auto text = read_policy_file(given->file);
      if (!text) return tl::make_unexpected(std::move(text.error()));
      return show_changes(context,
                          context.client().put("/v1/policies", {{"documents", *text}, {"dry_run", given->dry_run}}));
    };
  });
  auto* remove = policy.add_subcommand("delete", "take a policy back that was applied");
  remove->add_option("name", given->name, "KIND/NAMESPACE/NAME, or NAMESPACE/NAME where that has one kind")->required();
  remove->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] { return remove_policy(context, given->name); };
  });
}

}  // namespace cortexflow::cli
