// SPDX-License-Identifier: Apache-2.0
// identity list and describe: who workloads are to policy on this node.
#include <algorithm>

#include "cli/commands.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

bool contains_text(const ordered_json& list, const std::string& text) {
  return std::any_of(list.begin(), list.end(), [&](const auto& one) { return one == text; });
}

bool names_identity(const ordered_json& row, const std::string& text) {
  return row.at("number") == text || row.at("spiffe_id") == text || row.at("name") == text ||
         contains_text(row.at("pods"), text) || contains_text(row.at("addresses"), text);
}

Result<void> list_identities(const Context& context) {
  auto document = context.client().get("/v1/identities");
  if (!document) return tl::make_unexpected(std::move(document.error()));
  if (!context.is_table()) {
    show(context, *document, {"identities", {}, {}, "/name"});
    return {};
  }
  for (auto& row : document->at("identities")) {
    row["pod_count"] = row.at("pods").size();
    row["address_count"] = row.at("addresses").size();
  }
  show(context, *document,
       {"identities",
        {{"NUMBER", "/number"},
         {"KIND", "/kind"},
         {"NAME", "/name"},
         {"PODS", "/pod_count"},
         {"ADDRESSES", "/address_count"},
         {"POLICIES", "/policies"}},
        {{"SPIFFE ID", "/spiffe_id"}},
        "/name"});
  if (document->at("tables").empty()) fmt::print("no policy has come to this agent: nobody is told apart\n");
  for (const auto& table : document->at("tables")) {
    fmt::print("{}: {} of {} entries\n", cell(table, "/name"), table.at("entries").get<std::uint64_t>(),
               table.at("max_entries").get<std::uint64_t>());
  }
  return {};
}

Result<void> describe_identity(const Context& context, const std::string& text) {
  auto document = context.client().get("/v1/identities");
  if (!document) return tl::make_unexpected(std::move(document.error()));
  auto rows = ordered_json::array();
  for (const auto& row : document->at("identities")) {
    if (names_identity(row, text)) rows.push_back(row);
  }
  if (rows.empty()) {
    return tl::make_unexpected(
        Error{fmt::format("policy knows no identity by {}", text),
              "give a number, NAMESPACE/POD, an address or a SPIFFE ID; see cfcli identity list"});
  }
  const ordered_json found{{"identities", rows}};
  if (context.output == "name") {
    show(context, found, {"identities", {}, {}, "/name"});
    return {};
  }
  if (show_document(context, found)) return {};
  for (const auto& row : rows) {
    for (const auto& [title, at] : {std::pair{"number", "/number"},
                                    {"kind", "/kind"},
                                    {"name", "/name"},
                                    {"SPIFFE ID", "/spiffe_id"},
                                    {"pods", "/pods"},
                                    {"addresses", "/addresses"},
                                    {"policies", "/policies"}}) {
      fmt::print("{:<11}{}\n", title, cell(row, at));
    }
  }
  return {};
}

}  // namespace

void add_identity(CLI::App& app, Context& context) {
  auto* identity = app.add_subcommand("identity", "who workloads are to policy on this node")->require_subcommand(1);
  auto* list = identity->add_subcommand("list", "identities with their pods and policies, and how full the tables are");
  list->callback([&context] {
    context.has_names = true;
    context.run = [&context] { return list_identities(context); };
  });
  const auto text = std::make_shared<std::string>();
  auto* describe = identity->add_subcommand("describe", "all that is known of one, or of those of a SPIFFE ID");
  describe->add_option("identity", *text, "a number, NAMESPACE/POD, an address, or a SPIFFE ID")->required();
  describe->callback([&context, text] {
    context.has_names = true;
    context.run = [&context, text] { return describe_identity(context, *text); };
  });
}

}  // namespace cortexflow::cli
