// SPDX-License-Identifier: Apache-2.0
#include "cli/filter_flags.h"

#include <chrono>

#include "agent/control/lookup_filter.h"
#include "agent/control/time_text.h"
#include "cli/output.h"

namespace cortexflow::cli {
namespace {

constexpr const char* kGroup = "Filters (repeated: any of the values)";

struct State {
  Client::Parameters parameters;
  bool negated = false;
  bool not_without_filter = false;

  void add(const std::string& field, const std::string& value) {
    not_without_filter = false;
    parameters.emplace((negated ? "not." : "") + field, value);
  }
};

// The agent's words without its parameter's name, which is not the flag's.
std::string reason(const Error& error, const std::string& parameter) {
  const auto& text = error.message;
  return text.starts_with(parameter + "=") ? text.substr(parameter.size() + 1) : text;
}

}  // namespace

std::shared_ptr<const Client::Parameters> add_filter_flags(CLI::App& command) {
  const auto state = std::make_shared<State>();
  const auto filter = [&](const std::string& flag, const std::string& field, const std::string& help) {
    const auto take = [state, flag, field](const std::string& value) {
      if (const auto parsed = control::LookupFilter::parse({{field, value}}); !parsed) {
        throw CLI::ValidationError(flag, printable(reason(parsed.error(), field)));
      }
      state->add(field, value);
    };
    command.add_option_function<std::string>(flag, take, help)->trigger_on_parse()->take_all()->group(kGroup);
  };
  filter("--name", "name", "name, with * ? and [a-z]");
  filter("--type", "type", "record type: A, AAAA, TXT...");
  filter("--rcode", "rcode", "response code: NOERROR, NXDOMAIN, SERVFAIL...");
  filter("--outcome", "outcome", "answered, timeout, duplicate, late, unmatched, superseded, untracked");
  filter("--server", "server", "ADDRESS, ADDRESS:PORT or [IPV6]:PORT");
  filter("--workload", "workload", "workload name, pod uid or container id");
  filter("--pid", "pid", "process id");
  filter("--latency-above", "min_latency", "at least this long: 500us, 10ms, 2s");
  command
      .add_flag_callback(
          "--failed", [state] { state->add("failed", "true"); }, "timeouts and rcodes other than NOERROR and NXDOMAIN")
      ->trigger_on_parse()
      ->group(kGroup);
  command
      .add_flag_callback(
          "--not", [state] { state->negated = state->not_without_filter = true; },
          "leave out what the filters behind it match")
      ->trigger_on_parse()
      ->group(kGroup);
  command.parse_complete_callback([state] {
    if (state->not_without_filter) throw CLI::ValidationError("--not", "expected a filter behind it");
  });
  return {state, &state->parameters};
}

CLI::Option* add_since_flag(CLI::App& command, std::string& since, const std::string& help) {
  return command.add_option("--since", since, help + ": a duration (30s, 5m, 1h) or a time (2024-05-01T12:00:00Z)")
      ->check(CLI::Validator(
          [](std::string& value) {
            const auto parsed = control::parse_since(value, std::chrono::system_clock::now());
            return parsed ? std::string() : printable(reason(parsed.error(), "since"));
          },
          ""));
}

}  // namespace cortexflow::cli
