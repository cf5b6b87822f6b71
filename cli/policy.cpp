// SPDX-License-Identifier: Apache-2.0
// policy list and check: AuthorizationPolicies and NetworkPolicies.  policy create-blocklist, check-blocklist and
// remove-ip: the operator's part of the edge's deny list.
#include "agent/control/time_text.h"
#include "cli/commands.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;
using std::chrono::system_clock;

struct Given {
  std::vector<std::string> prefixes;
  std::vector<std::uint16_t> ports;
  std::string address, direction = "in", lasting, until;
  bool audit = false;
};

Result<void> show_list(const Context& context, const Result<ordered_json>& document) {
  if (!document) return tl::make_unexpected(document.error());
  show(context, *document,
       {"entries",
        {{"PREFIX", "/cidr"},
         {"PORTS", "/ports"},
         {"DIRECTION", "/direction"},
         {"MODE", "/mode"},
         {"EXPIRES", "/expires"},
         {"FROM", "/origin"}},
        {},
        "/cidr"});
  if (!context.is_table()) return {};
  fmt::print("{} packets denied, {} audited{}\n", document->at("denied").get<std::uint64_t>(),
             document->at("audited").get<std::uint64_t>(),
             document->at("hook").get<std::string>().empty() ? "" : " by " + cell(*document, "/hook"));
  if (const auto problem = document->at("problem").get<std::string>(); !problem.empty()) {
    fmt::print(stderr, "cfcli: {}\n", printable(problem));
  }
  return {};
}

Result<std::string> expiry(const Given& given) {
  if (!given.until.empty()) {
    const auto time = control::parse_time(given.until);
    if (!time) return fail("--until {}: expected a time such as 2030-01-01T00:00:00Z", given.until);
    return control::time_text(*time);
  }
  const auto length = control::parse_duration(given.lasting);
  if (!length || length->count() == 0) return fail("--for {}: expected a duration such as 30m or 24h", given.lasting);
  return control::time_text(system_clock::now() + std::chrono::duration_cast<system_clock::duration>(*length));
}

Result<void> create(const Context& context, const Given& given) {
  ordered_json entry{{"cidr", ""}};
  if (!given.ports.empty()) entry["ports"] = given.ports;
  entry["direction"] = given.direction == "in" ? "In" : given.direction == "out" ? "Out" : "Both";
  entry["mode"] = given.audit ? "Audit" : "Enforce";
  if (!given.until.empty() || !given.lasting.empty()) {
    auto time = expiry(given);
    if (!time) return tl::make_unexpected(std::move(time.error()));
    entry["expires"] = std::move(*time);
  }
  Result<ordered_json> document;
  for (const auto& prefix : given.prefixes) {
    entry["cidr"] = prefix;
    document = context.client().put("/v1/denylist", entry);
    if (!document) return tl::make_unexpected(std::move(document.error()).wrap(prefix));
  }
  return show_list(context, document);
}

Result<void> remove(const Context& context, const Given& given) {
  Result<ordered_json> document;
  for (const auto& prefix : given.prefixes) {
    document = context.client().remove("/v1/denylist", {{"cidr", prefix}});
    if (!document) return tl::make_unexpected(std::move(document.error()).wrap(prefix));
  }
  return show_list(context, document);
}

Result<void> check(const Context& context, const Given& given) {
  Client::Parameters parameters;
  if (!given.address.empty()) parameters.emplace("address", given.address);
  return show_list(context, context.client().get("/v1/denylist", parameters));
}

struct Asked {
  std::string from, to;
  bool udp = false;
};

Result<void> list_policies(const Context& context) {
  const auto document = context.client().get("/v1/policies", {});
  if (!document) return tl::make_unexpected(document.error());
  show(context, *document,
       {"policies",
        {{"KIND", "/kind"},
         {"NAME", "/name"},
         {"ACTION", "/action"},
         {"DIRECTION", "/direction"},
         {"MODE", "/mode"},
         {"RULES", "/rules"},
         {"WORKLOADS", "/workloads"},
         {"HITS", "/hits"},
         {"FROM", "/origin"}},
        {},
        "/name"});
  if (const auto problem = document->at("problem").get<std::string>(); context.is_table() && !problem.empty()) {
    fmt::print(stderr, "cfcli: {}\n", printable(problem));
  }
  return {};
}

void print_decision(const ordered_json& side) {
  std::vector<std::string> rules;
  for (const auto& rule : side.at("rules")) rules.push_back(printable(rule.get<std::string>()));
  fmt::print("{}{}: {}{}{}\n", side.at("refused").get<bool>() ? "refused" : "passes",
             side.at("direction") == "out" ? " on the way out" : "", cell(side, "/verdict"),
             rules.empty() ? "" : " by ", fmt::join(rules, " and "));
}

Result<void> check_connection(const Context& context, const Asked& asked) {
  const auto colon = asked.to.rfind(':');
  if (colon == std::string::npos) return fail("{}: expected NAMESPACE/POD:PORT, or ADDRESS:PORT", asked.to);
  std::string to = asked.to.substr(0, colon);
  if (to.starts_with('[') && to.ends_with(']')) to = to.substr(1, to.size() - 2);
  const auto document = context.client().get("/v1/policies/check", {{"from", asked.from},
                                                                    {"to", to},
                                                                    {"port", asked.to.substr(colon + 1)},
                                                                    {"protocol", asked.udp ? "udp" : "tcp"}});
  if (!document) return tl::make_unexpected(document.error());
  if (show_document(context, *document)) return {};
  for (const auto& side : document->at("sides")) {
    if (side.at("direction") == document->at("direction")) print_decision(side);
  }
  fmt::print("from {} to {}\n", cell(*document, "/from"), cell(*document, "/to"));
  for (const auto& side : document->at("sides")) {
    fmt::print("{}: {}; policies: {}\n", side.at("direction") == "out" ? "at the caller" : "at the called workload",
               cell(side, "/verdict"), cell(side, "/policies"));
  }
  return {};
}

}  // namespace

void add_policy(CLI::App& app, Context& context) {
  auto* policy = app.add_subcommand("policy", "who may call whom, and whom the edge keeps out")->require_subcommand(1);
  const auto given = std::make_shared<Given>();

  auto* policies = policy->add_subcommand(
      "list", "the AuthorizationPolicies and NetworkPolicies in force, where they are from, how often they decided");
  policies->callback([&context] {
    context.has_names = true;
    context.run = [&context] { return list_policies(context); };
  });
  add_policy_apply(*policy, context);
  add_policy_simulate(*policy, context);

  auto* connection =
      policy->add_subcommand("check", "may this caller reach that, at both ends, and which rule says so");
  const auto asked = std::make_shared<Asked>();
  connection->add_option("from", asked->from, "NAMESPACE/POD, or an address")->required();
  connection->add_option("to", asked->to, "NAMESPACE/POD:PORT, or ADDRESS:PORT")->required();
  connection->add_flag("--udp", asked->udp, "a datagram, not a TCP connection");
  connection->callback(
      [&context, asked] { context.run = [&context, asked] { return check_connection(context, *asked); }; });

  auto* add = policy->add_subcommand(
      "create-blocklist",
      "keep these out of the services' outside addresses; takes the place of what it said of the same prefix");
  add->add_option("prefixes", given->prefixes, "ADDRESS or ADDRESS/LENGTH")->required();
  add->add_option("--port", given->ports, "of the services' outside; without, all")->expected(1)->take_all();
  add->add_option("--direction", given->direction, "in: who comes from there; out: answers that go there; both")
      ->check(CLI::IsMember({"in", "out", "both"}))
      ->capture_default_str();
  auto* lasting = add->add_option("--for", given->lasting, "how long, such as 30m or 24h; without, for good");
  add->add_option("--until", given->until, "until when, such as 2030-01-01T00:00:00Z")->excludes(lasting);
  add->add_flag("--audit", given->audit, "count them, and let them pass");
  add->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] { return create(context, *given); };
  });

  auto* list = policy->add_subcommand("check-blocklist", "who is kept out, by the operator and by DenyLists");
  list->add_option("address", given->address, "only what covers this address");
  list->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] { return check(context, *given); };
  });

  auto* drop = policy->add_subcommand("remove-ip", "let these in again");
  drop->add_option("prefixes", given->prefixes, "as they were given to create-blocklist")->required();
  drop->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] { return remove(context, *given); };
  });
}

}  // namespace cortexflow::cli
