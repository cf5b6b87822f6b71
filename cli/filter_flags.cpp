// SPDX-License-Identifier: Apache-2.0
#include "cli/filter_flags.h"

#include <chrono>
#include <initializer_list>

#include "agent/control/flow_filter.h"
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

// A flag that takes a value, for a field of the filter.
struct Flag {
  const char* name;
  const char* field;
  const char* help;
};

template <typename Filter>
std::shared_ptr<const Client::Parameters> add_filters(CLI::App& command, std::initializer_list<Flag> flags,
                                                      const char* failed_help) {
  const auto state = std::make_shared<State>();
  for (const auto& flag : flags) {
    const auto take = [state, flag](const std::string& value) {
      if (const auto parsed = Filter::parse({{flag.field, value}}); !parsed) {
        throw CLI::ValidationError(flag.name, printable(reason(parsed.error(), flag.field)));
      }
      state->add(flag.field, value);
    };
    command.add_option_function<std::string>(flag.name, take, flag.help)->trigger_on_parse()->take_all()->group(kGroup);
  }
  command.add_flag_callback(
             "--failed", [state] { state->add("failed", "true"); }, failed_help)
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

}  // namespace

std::shared_ptr<const Client::Parameters> add_lookup_filters(CLI::App& command) {
  return add_filters<control::LookupFilter>(
      command,
      {{"--name", "name", "name, with * ? and [a-z]"},
       {"--type", "type", "record type: A, AAAA, TXT..."},
       {"--rcode", "rcode", "response code: NOERROR, NXDOMAIN, SERVFAIL..."},
       {"--outcome", "outcome", "answered, timeout, duplicate, late, unmatched, superseded, untracked"},
       {"--server", "server", "ADDRESS, ADDRESS:PORT or [IPV6]:PORT"},
       {"--workload", "workload", "workload name, pod uid or container id"},
       {"--pid", "pid", "process id"},
       {"--latency-above", "min_latency", "at least this long: 500us, 10ms, 2s"}},
      "timeouts and rcodes other than NOERROR and NXDOMAIN");
}

std::shared_ptr<const Client::Parameters> add_flow_filters(CLI::App& command) {
  return add_filters<control::FlowFilter>(
      command,
      {{"--from", "from", "who opened it: workload, pod, NAMESPACE/POD (with * ? and [a-z]) or ADDRESS[:PORT]"},
       {"--to", "to", "whom it was opened to: likewise; the service's address, too"},
       {"--workload", "workload", "workload of either side"},
       {"--namespace,-n", "namespace", "namespace of either side's pod"},
       {"--address", "address", "of either side: ADDRESS, ADDRESS:PORT or [IPV6]:PORT"},
       {"--service", "service", "NAME, NAMESPACE/NAME or ADDRESS[:PORT] of the service that was connected to"},
       {"--port", "port", "that was connected to, the service's or the backend's"},
       {"--process", "process", "name of the process that connected"},
       {"--pid", "pid", "process id"},
       {"--direction", "direction", "out: opened by this side; in: by the other"},
       {"--outcome", "outcome",
        "closed, reset, aborted, broken, refused, timed_out, unreachable, abandoned; denied, would_deny; open, "
        "connecting"},
       {"--protocol", "protocol", "tcp, udp"},
       {"--verdict", "verdict",
        "of policy at this end: allowed, not_allowed, denied, closed...; refused: all that refuse"},
       {"--rule", "rule", "that decided, NAMESPACE/POLICY (with * ? and [a-z]) or NAMESPACE/POLICY[0]"},
       {"--duration-above", "min_duration", "at least this long: 500us, 10ms, 2s"},
       {"--connect-above", "min_connect", "took at least this long to connect"}},
      "all but those that a FIN has closed");
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
