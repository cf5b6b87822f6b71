// SPDX-License-Identifier: Apache-2.0
// explain CALLER TARGET, and lb simulate.
#include "cli/commands.h"
#include "cli/service_name.h"

namespace cortexflow::cli {
namespace {

using nlohmann::ordered_json;

void show_steps(const ordered_json& steps, int& number) {
  for (const auto& step : steps) {
    const auto kernel_table = cell(step, "/table");
    fmt::print("{:>2}. {:<10} {}{}\n", ++number, cell(step, "/what"), cell(step, "/says"),
               kernel_table == "-" ? "" : "  [" + kernel_table + "]");
  }
}

ordered_json with_percent(ordered_json backends, const char* from, const char* to) {
  for (auto& backend : backends) backend[to] = fmt::format("{:.1f}%", backend.at(from).get<double>() * 100);
  return backends;
}

void show_path(const ordered_json& path, int number) {
  fmt::print("\n{} {}: {}\n", cell(path, "/address"), cell(path, "/protocol"), cell(path, "/verdict"));
  show_steps(path.at("steps"), number);
  if (!path.at("backends").empty()) {
    fmt::print("{}", table(with_percent(path.at("backends"), "share", "share_text"), {{"BACKEND", "/address"},
                                                                                      {"POD", "/pod"},
                                                                                      {"SHARE", "/share_text"},
                                                                                      {"ACTIVE", "/active"},
                                                                                      {"STATE", "/state"}}));
  }
  for (const auto& difference : path.at("differences")) {
    fmt::print("not as the agent means it: {}\n", printable(difference.get<std::string>()));
  }
}

// "web:80" is "default/web:80"; addresses stay.
std::string full_target(const std::string& target) {
  const auto host = target.substr(0, target.rfind(':'));
  const bool address =
      host.find_first_not_of("0123456789.") == std::string::npos || host.find(':') != std::string::npos;
  return address ? target : full_name(target);
}

Result<void> explain(const Context& context, const std::string& caller, const std::string& target) {
  const auto document = context.client().get("/v1/explain", {{"caller", caller}, {"target", full_target(target)}});
  if (!document) return tl::make_unexpected(document.error());
  if (show_document(context, *document)) return {};
  fmt::print("{} -> {}\n", cell(*document, "/caller"), cell(*document, "/target"));
  int number = 0;
  show_steps(document->at("steps"), number);
  for (const auto& path : document->at("paths")) show_path(path, number);
  return {};
}

std::string callers_text(double callers, bool exact) {
  return exact || callers == static_cast<double>(static_cast<std::uint64_t>(callers)) ? fmt::format("{:.0f}", callers)
                                                                                      : fmt::format("{:.1f}", callers);
}

struct Question {
  std::string service, version, from;
  std::uint64_t callers = 100;
};

Result<void> simulate(const Context& context, const Question& question) {
  Client::Parameters parameters{{"service", full_name(question.service)},
                                {"callers", std::to_string(question.callers)}};
  if (!question.version.empty()) parameters.emplace("version", question.version);
  if (!question.from.empty()) parameters.emplace("from", question.from);
  const auto document = context.client().get("/v1/lb/simulation", parameters);
  if (!document) return tl::make_unexpected(document.error());
  if (show_document(context, *document)) return {};
  auto rows = ordered_json::array();
  for (const auto& port : document->at("ports")) {
    const auto exact = port.at("exact").get<bool>();
    for (const auto& backend : port.at("backends")) {
      rows.push_back({{"service", port.at("address")},
                      {"algorithm", port.at("algorithm")},
                      {"backend", backend.at("address")},
                      {"pod", backend.at("pod")},
                      {"callers", callers_text(backend.at("callers").get<double>(), exact)},
                      {"how", exact ? "exact" : "expected"}});
    }
  }
  fmt::print("{}", table(rows, {{"ADDRESS", "/service"},
                                {"ALGORITHM", "/algorithm"},
                                {"BACKEND", "/backend"},
                                {"POD", "/pod"},
                                {"CALLERS", "/callers"},
                                {"HOW", "/how"}}));
  for (const auto& port : document->at("ports")) {
    const auto address = cell(port, "/address");
    if (port.at("verdict") != "translated") {
      fmt::print("{}: {}: {:.0f} callers\n", address, cell(port, "/verdict"), port.at("refused").get<double>());
    } else if (!port.at("assumes").get<std::string>().empty()) {
      fmt::print("{}: provided that: {}\n", address, cell(port, "/assumes"));
    }
    if (port.at("breaker_refuses") != 0) {
      fmt::print("{}: were all connected at once, the circuit breaker would refuse {}\n", address,
                 cell(port, "/breaker_refuses"));
    }
    if (port.at("pending_refuses") != 0) {
      fmt::print("{}: were all connecting at once and none established, it would refuse {}\n", address,
                 cell(port, "/pending_refuses"));
    }
  }
  return {};
}

}  // namespace

void add_explain(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("explain", "what a caller's call to a service meets, step by step, in the kernel as it is");
  const auto caller = std::make_shared<std::string>();
  const auto target = std::make_shared<std::string>();
  command->add_option("caller", *caller, "a pod (NAMESPACE/NAME), an address, pid:NUMBER, or cgroup:PATH")->required();
  command->add_option("target", *target, "NAMESPACE/NAME:PORT, or ADDRESS:PORT")->required();
  command->callback([&context, caller, target] {
    context.run = [&context, caller, target] { return explain(context, *caller, *target); };
  });
}

void add_lb_simulate(CLI::App& lb, Context& context) {
  auto* command = lb.add_subcommand("simulate", "what so many callers would get, from the kernel's tables as they are");
  const auto question = std::make_shared<Question>();
  command->add_option("service", question->service, "NAMESPACE/NAME, or a name in the namespace default")->required();
  command->add_option("--callers", question->callers, "how many, each calling once; with --from, calls of that one")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--version", question->version, "the callers' version");
  command->add_option("--from", question->from,
                      "one caller: a pod (NAMESPACE/NAME), an address, pid:NUMBER, or cgroup:PATH");
  command->callback(
      [&context, question] { context.run = [&context, question] { return simulate(context, *question); }; });
}

}  // namespace cortexflow::cli
