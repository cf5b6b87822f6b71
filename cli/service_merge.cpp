// SPDX-License-Identifier: Apache-2.0
#include "cli/service_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

void add(ordered_json& to, const ordered_json& from, const char* key) {
  if (to.contains(key) && from.contains(key) && to[key].is_number_unsigned() && from[key].is_number_unsigned()) {
    to[key] = to[key].get<std::uint64_t>() + from[key].get<std::uint64_t>();
  }
}

// "connections" of a backend: counts by result, and the mean of what it took to connect.
void add_connections(ordered_json& to, const ordered_json& from) {
  const auto count = [](const ordered_json& connections) {
    return connections.at("results").at("established").get<double>();
  };
  const double before = count(to);
  const double more = count(from);
  if (before + more > 0) {
    to["connect_mean_seconds"] =
        (before * to.at("connect_mean_seconds").get<double>() + more * from.at("connect_mean_seconds").get<double>()) /
        (before + more);
  }
  for (const auto& [result, number] : from.at("results").items()) add(to["results"], from["results"], result.c_str());
  add(to, from, "failed");
}

void add_problem(ordered_json& service, const std::string& problem) {
  auto& problems = service["problems"];
  if (std::find(problems.begin(), problems.end(), ordered_json(problem)) == problems.end()) problems.push_back(problem);
}

void add_backends(ordered_json& service, const ordered_json& from, const std::string& node) {
  for (const auto& backend : from.at("backends")) {
    auto& known = service["backends"];
    const auto same = std::find_if(known.begin(), known.end(),
                                   [&](const auto& one) { return one.at("address") == backend.at("address"); });
    if (same == known.end()) {
      add_problem(service, fmt::format("{} is a backend on {} alone", backend.at("address").get<std::string>(), node));
      known.push_back(backend);
      continue;
    }
    for (const char* key : {"active", "chosen"}) add(*same, backend, key);
    add_connections((*same)["connections"], backend.at("connections"));
    if (same->at("state") != backend.at("state")) {
      add_problem(service, fmt::format("{} is {} on {}", backend.at("address").get<std::string>(),
                                       backend.at("state").get<std::string>(), node));
    }
  }
  for (const auto& known : service["backends"]) {
    const auto& theirs = from.at("backends");
    if (std::none_of(theirs.begin(), theirs.end(),
                     [&](const auto& one) { return one.at("address") == known.at("address"); })) {
      add_problem(service, fmt::format("{} is no backend on {}", known.at("address").get<std::string>(), node));
    }
  }
}

}  // namespace

ordered_json merge_services(const std::vector<std::pair<std::string, ordered_json>>& by_node) {
  std::vector<ordered_json> out;
  std::map<std::string, std::size_t> places;
  for (const auto& [node, services] : by_node) {
    for (const auto& service : services) {
      const auto key =
          fmt::format("{} {} {} {}", service.at("name").get<std::string>(), service.at("port").get<std::string>(),
                      service.at("protocol").get<std::string>(), service.at("number").dump());
      const auto [place, fresh] = places.emplace(key, out.size());
      if (fresh) {
        out.push_back(service);
        out.back()["nodes"] = ordered_json::array({node});
        continue;
      }
      auto& whole = out[place->second];
      for (const char* sum : {"active", "pending", "refused"}) add(whole, service, sum);
      add_backends(whole, service, node);
      for (const auto& problem : service.at("problems")) add_problem(whole, problem.get<std::string>());
      if (whole["held_since"].is_null()) whole["held_since"] = service.at("held_since");
      whole["nodes"].push_back(node);
    }
  }
  for (auto& service : out) {
    std::set<std::string> with(service["nodes"].begin(), service["nodes"].end());
    for (const auto& [node, services] : by_node) {
      if (!with.contains(node)) add_problem(service, "not known on " + node);
    }
  }
  return out;
}

}  // namespace cortexflow::cli
