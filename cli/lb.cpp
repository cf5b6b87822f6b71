// SPDX-License-Identifier: Apache-2.0
// lb list, set-weight, reset, drain and undrain.
#include <charconv>
#include <map>

#include "agent/model/address_port.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/service_name.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::milliseconds kDrainAskedEvery{200};

// A weight that an operator set shows it wherever it is shown.
std::string weight_text(const ordered_json& item) {
  return fmt::format("{}{}", item.at("weight").get<std::uint32_t>(), item.at("weight_set").get<bool>() ? "*" : "");
}

// A row a backend, each with what is known of its service.
ordered_json backend_rows(const ordered_json& services, bool& any_set) {
  auto rows = ordered_json::array();
  for (const auto& service : services) {
    std::map<std::string, std::string> subsets;
    for (const auto& subset : service.at("subsets")) {
      any_set = any_set || subset.at("weight_set").get<bool>();
      subsets[subset.at("name")] = fmt::format("{}={}", subset.at("name").get<std::string>(), weight_text(subset));
    }
    for (const auto& backend : service.at("backends")) {
      auto row = backend;
      any_set = any_set || backend.at("weight_set").get<bool>();
      row["service"] = service.at("name");
      row["port"] = service.at("port");
      row["protocol"] = service.at("protocol");
      row["algorithm"] = service.at("algorithm");
      const auto subset = subsets.find(backend.at("subset").get<std::string>());
      row["subset_weight"] = subset == subsets.end() ? "" : subset->second;
      row["weight_text"] = weight_text(backend);
      row["share_text"] = fmt::format("{:.1f}%", backend.at("share").get<double>() * 100);
      row["name"] =
          fmt::format("{}/{}", service.at("name").get<std::string>(), backend.at("address").get<std::string>());
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Result<void> show_backends(const Context& context, const ordered_json& document) {
  if (show_document(context, document)) return {};
  bool any_set = false;
  const ordered_json rows{{"backends", backend_rows(document.at("services"), any_set)}};
  show(context, rows,
       {"backends",
        {{"SERVICE", "/service"},
         {"PORT", "/port"},
         {"ALGORITHM", "/algorithm"},
         {"SUBSET", "/subset_weight"},
         {"BACKEND", "/address"},
         {"WEIGHT", "/weight_text"},
         {"SHARE", "/share_text"},
         {"ACTIVE", "/active"},
         {"CHOSEN", "/chosen"},
         {"STATE", "/state"}},
        {{"PROTOCOL", "/protocol"}, {"POD", "/pod"}, {"NUMBER", "/number"}, {"REASON", "/reason"}},
        "/name"});
  if (any_set && context.is_table()) {
    fmt::print("* set by an operator, on top of the manifests; cfcli lb reset SERVICE takes it back\n");
  }
  for (const auto& service : document.at("services")) {
    for (const auto& problem : service.at("problems")) {
      fmt::print(stderr, "{} {}: {}\n", printable(service.at("name").get<std::string>()),
                 printable(service.at("port").get<std::string>()), printable(problem.get<std::string>()));
    }
  }
  return {};
}

Result<void> list(const Context& context, const std::string& name) {
  const auto services = services_named(context, name);
  if (!services) return tl::make_unexpected(services.error());
  if (auto shown = show_backends(context, services->document); !shown) return shown;
  return services->complete;
}

Result<void> show_answer(const Context& context, const Result<ordered_json>& answer) {
  if (!answer) return tl::make_unexpected(answer.error());
  return show_backends(context, *answer);
}

Result<void> set_weight(const Context& context, const std::string& service, const std::vector<std::string>& pairs) {
  auto weights = ordered_json::object();
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    std::uint32_t weight = 0;
    const auto& text = pairs[i + 1];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return fail("weight {} of {}: expected a number", text, pairs[i]);
    }
    weights[pairs[i]] = weight;
  }
  return show_answer(context, context.client().put("/v1/lb/weights",
                                                   {{"service", full_name(service)}, {"weights", std::move(weights)}}));
}

// Live connections of the drained backends.
std::uint64_t still_active(const ordered_json& document, std::size_t& drained) {
  std::uint64_t active = 0;
  drained = 0;
  for (const auto& service : document.at("services")) {
    for (const auto& backend : service.at("backends")) {
      if (backend.at("state") != "drained") continue;
      ++drained;
      active += backend.at("active").get<std::uint64_t>();
    }
  }
  return active;
}

bool is_meant(const ordered_json& backend, const std::string& spelling) {
  if (spelling == backend.at("pod").get<std::string>()) return true;
  const auto wanted = model::parse_address_port(spelling);
  const auto has = model::parse_address_port(backend.at("address").get<std::string>());
  return wanted && has && has->port && wanted->covers(has->address, *has->port);
}

ordered_json only_backend(ordered_json document, const std::string& spelling) {
  for (auto& service : document.at("services")) {
    auto kept = ordered_json::array();
    for (const auto& backend : service.at("backends")) {
      if (is_meant(backend, spelling)) kept.push_back(backend);
    }
    service["backends"] = std::move(kept);
  }
  return document;
}

Result<void> drain(const Context& context, const std::string& service, const std::string& backend, bool wait) {
  auto answer = context.client().put("/v1/lb/drain", {{"service", full_name(service)}, {"backend", backend}});
  if (!answer || !wait) return show_answer(context, answer);
  catch_interrupts();
  std::uint64_t said = UINT64_MAX;
  for (;;) {
    const auto now = only_backend(*answer, backend);
    std::size_t drained = 0;
    const auto active = still_active(now, drained);
    if (drained == 0) {
      return tl::make_unexpected(
          Error{fmt::format("{} is no longer drained, or has gone", backend), "see cfcli lb list"});
    }
    if (active != said) fmt::print(stderr, "{} live connections\n", active);
    said = active;
    if (active == 0) return show_backends(context, now);
    wait_for_interrupt(kDrainAskedEvery);
    if (interrupted()) {
      return tl::make_unexpected(Error{fmt::format("interrupted with {} live connections", active),
                                       "the backend stays drained; cfcli lb undrain takes it back"});
    }
    auto services = services_named(context, service);
    if (!services) return tl::make_unexpected(services.error());
    answer = std::move(services->document);
  }
}

}  // namespace

void add_lb(CLI::App& app, Context& context) {
  auto* lb =
      app.add_subcommand("lb", "load balancing: weights and drains, changed while services run")->require_subcommand(1);
  struct Given {
    std::string service, backend;
    std::vector<std::string> weights;
    bool wait = false;
  };
  const auto given = std::make_shared<Given>();
  const std::string service_help = "NAMESPACE/NAME, or a name in the namespace default";
  const std::string backend_help = "ADDRESS:PORT, ADDRESS, or a pod's name";

  auto* all = lb->add_subcommand("list", "backends with subset, weight, share, live connections, state");
  all->add_option("service", given->service, service_help);
  all->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] { return list(context, given->service); };
  });

  auto* weigh = lb->add_subcommand("set-weight", "give subsets or backends other weights than the manifests");
  weigh->add_option("service", given->service, service_help)->required();
  weigh->add_option("weights", given->weights, "subset or backend (" + backend_help + "), weight, and so on")
      ->required()
      ->expected(2, -1)
      ->type_name("TARGET WEIGHT");
  weigh->callback([&context, given] {
    if (given->weights.size() % 2 != 0) {
      throw CLI::ValidationError("weights", given->weights.back() + " has no weight behind it");
    }
    context.has_names = true;
    context.run = [&context, given] { return set_weight(context, given->service, given->weights); };
  });

  auto* reset = lb->add_subcommand("reset", "the weights that the manifests have again");
  reset->add_option("service", given->service, service_help)->required();
  reset->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] {
      return show_answer(context, context.client().remove("/v1/lb/weights", {{"service", full_name(given->service)}}));
    };
  });

  auto* off = lb->add_subcommand("drain", "no new connections for a backend; those that it has stay");
  off->add_option("service", given->service, service_help)->required();
  off->add_option("backend", given->backend, backend_help)->required();
  off->add_flag("--wait", given->wait, "end when its last connection has ended");
  off->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] { return drain(context, given->service, given->backend, given->wait); };
  });

  auto* on = lb->add_subcommand("undrain", "new connections for a backend again");
  on->add_option("service", given->service, service_help)->required();
  on->add_option("backend", given->backend, backend_help)->required();
  on->callback([&context, given] {
    context.has_names = true;
    context.run = [&context, given] {
      return show_answer(context, context.client().remove("/v1/lb/drain", {{"service", full_name(given->service)},
                                                                           {"backend", given->backend}}));
    };
  });
  add_lb_simulate(*lb, context);
}

}  // namespace cortexflow::cli
