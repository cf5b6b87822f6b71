// SPDX-License-Identifier: Apache-2.0
// policy simulate: what policies would have said to the connections that the agent keeps.
#include "cli/commands.h"
#include "cli/policy_file.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

std::string side_text(const ordered_json& side) {
  const auto rules = cell(side, "/rules");
  return fmt::format("{}{}", cell(side, "/verdict"), side.at("rules").empty() ? "" : " by " + rules);
}

void print_totals(const ordered_json& document) {
  std::vector<std::string> words;
  for (const auto& [change, total] : document.at("totals").items()) {
    words.push_back(fmt::format("{} {} ({} pairs)", total.at("connections").get<std::uint64_t>(), change,
                                total.at("pairs").get<std::uint64_t>()));
  }
  fmt::print("connections: {}\n", fmt::join(words, ", "));
  const auto& window = document.at("window");
  fmt::print(
      "of {} records of TCP connections, one of each side here, that ended from {} to {}{}, and {} open ones; "
      "identities are those of now\n",
      document.at("records").get<std::uint64_t>(),
      window.at("begin").is_null() ? std::string("now on") : cell(window, "/begin"), cell(window, "/end"),
      window.at("complete").get<bool>()
          ? ""
          : fmt::format(" ({} earlier ones are overwritten)", window.at("overwritten").get<std::uint64_t>()),
      document.at("open").get<std::uint64_t>());
}

Result<void> simulate(const Context& context, const std::string& file, const std::string& since) {
  const auto text = read_policy_file(file);
  if (!text) return tl::make_unexpected(text.error());
  auto document = context.client().post("/v1/policies/simulation", {{"documents", *text}, {"since", since}});
  if (!document) return tl::make_unexpected(std::move(document.error()));
  if (show_document(context, *document)) return {};
  for (auto& pair : document->at("pairs")) {
    pair["before_text"] = side_text(pair.at("before"));
    pair["after_text"] = side_text(pair.at("after"));
  }
  show(context, *document,
       {"pairs",
        {{"CHANGE", "/change"},
         {"CONNECTIONS", "/connections"},
         {"FROM", "/from"},
         {"TO", "/to"},
         {"PORT", "/port"},
         {"BEFORE", "/before_text"},
         {"AFTER", "/after_text"}},
        {},
        {}});
  print_totals(*document);
  for (const auto& remark : document->at("remarks")) {
    fmt::print(stderr, "cfcli: {}\n", printable(remark.get<std::string>()));
  }
  return {};
}

}  // namespace

void add_policy_simulate(CLI::App& policy, Context& context) {
  struct Given {
    std::string file, since = "1h";
  };
  const auto given = std::make_shared<Given>();
  auto* command = policy.add_subcommand(
      "simulate", "what these policies would have said to the TCP connections that the agent keeps; changes nothing");
  command->add_option("-f,--filename", given->file, "YAML or JSON, several documents, or - for standard input")
      ->required();
  command->add_option("--since", given->since, "connections that have ended since, such as 1h, or an RFC 3339 time")
      ->capture_default_str();
  command->callback(
      [&context, given] { context.run = [&context, given] { return simulate(context, given->file, given->since); }; });
}

}  // namespace cortexflow::cli
