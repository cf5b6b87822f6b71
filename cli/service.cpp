// SPDX-License-Identifier: Apache-2.0
// service list and service describe.
#include <algorithm>

#include "cli/commands.h"
#include "cli/service_name.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

std::string joined(const ordered_json& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ",") + text.get<std::string>();
  return out;
}

Result<void> list(const Context& context) {
  auto services = services_named(context, "");
  if (!services) return tl::make_unexpected(services.error());
  auto& document = services->document;
  for (auto& service : document.at("services")) {
    const auto& backends = service.at("backends");
    const auto ready = std::count_if(backends.begin(), backends.end(), [](const auto& b) {
      const auto& state = b.at("state");
      return state == "ready" || state == "unchecked" || state == "healthy" || state == "held";
    });
    service["backend_count"] = fmt::format("{}/{}", ready, backends.size());
    service["problem"] = joined(service.at("problems"));
    if (const auto& held = service.at("held_since"); !held.is_null()) {
      service["problem"] = fmt::format("{} (since {})", service["problem"].get<std::string>(), held.get<std::string>());
    }
  }
  show(context, document,
       {"services",
        {{"SERVICE", "/name"},
         {"PORT", "/port"},
         {"PROTOCOL", "/protocol"},
         {"ADDRESSES", "/addresses"},
         {"ALGORITHM", "/algorithm"},
         {"BACKENDS", "/backend_count"},
         {"ACTIVE", "/active"},
         {"PROBLEM", "/problem"}},
        {{"NUMBER", "/number"},
         {"AFFINITY", "/affinity_seconds"},
         {"LIMIT", "/max_connections"},
         {"VERSIONS", "/versions"},
         {"NODES", "/nodes"}},
        "/name"});
  return services->complete;
}

// "0.412 ms"; nothing where none was measured.
std::string milliseconds(const ordered_json& seconds) {
  const auto value = seconds.get<double>();
  return value > 0 ? fmt::format("{:.3f} ms", value * 1e3) : "";
}

void describe_one(ordered_json service) {
  for (auto& backend : service.at("backends")) {
    backend["connect"] = milliseconds(backend.at("connections").at("connect_mean_seconds"));
  }
  fmt::print("{} {} {}\n", cell(service, "/name"), cell(service, "/port"), cell(service, "/protocol"));
  fmt::print("  addresses     {}\n  algorithm     {}\n", cell(service, "/addresses"), cell(service, "/algorithm"));
  fmt::print("  affinity      {}\n  limit         {}\n", cell(service, "/affinity_seconds"),
             cell(service, "/max_connections"));
  fmt::print("  pending limit {}\n", cell(service, "/max_pending_connections"));
  fmt::print("  active        {}\n  refused       {}\n", cell(service, "/active"), cell(service, "/refused"));
  if (service.contains("nodes")) fmt::print("  nodes         {}\n", cell(service, "/nodes"));
  if (!service.at("held_since").is_null()) fmt::print("  held since    {}\n", cell(service, "/held_since"));
  for (const auto& problem : service.at("problems")) {
    fmt::print("  problem       {}\n", printable(problem.get<std::string>()));
  }
  fmt::print("{}\n", table(service.at("backends"), {{"BACKEND", "/address"},
                                                    {"POD", "/pod"},
                                                    {"SUBSET", "/subset"},
                                                    {"SHARE", "/share"},
                                                    {"ACTIVE", "/active"},
                                                    {"CHOSEN", "/chosen"},
                                                    {"ESTABLISHED", "/connections/results/established"},
                                                    {"FAILED", "/connections/failed"},
                                                    {"RESET", "/connections/results/reset"},
                                                    {"CONNECT", "/connect"},
                                                    {"STATE", "/state"},
                                                    {"SINCE", "/since"},
                                                    {"WHY", "/reason"},
                                                    {"NUMBER", "/number"}}));
}

Result<void> describe(const Context& context, const std::string& name) {
  const auto shown = services_named(context, name);
  if (!shown) return tl::make_unexpected(shown.error());
  if (show_document(context, shown->document)) return shown->complete;
  for (const auto& service : shown->document.at("services")) describe_one(service);
  return shown->complete;
}

}  // namespace

void add_service(CLI::App& app, Context& context) {
  auto* service = app.add_subcommand("service", "services and their backends")->require_subcommand(1);
  service->add_subcommand("list", "every port of every service")->callback([&context] {
    context.has_names = true;
    context.run = [&context] { return list(context); };
  });
  auto* one = service->add_subcommand("describe", "a service's backends: shares, live connections");
  const auto name = std::make_shared<std::string>();
  one->add_option("name", *name, "NAMESPACE/NAME, or a name in the namespace default")->required();
  one->callback([&context, name] { context.run = [&context, name] { return describe(context, *name); }; });
}

}  // namespace cortexflow::cli
