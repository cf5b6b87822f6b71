// SPDX-License-Identifier: Apache-2.0
// Each add_ function hangs its command below `app` and sets `run` where that command was given.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "agent/base/result.h"
#include "cli/client.h"
#include "cli/cluster/cluster.h"
#include "cli/environments.h"
#include "cli/https.h"
#include "cli/output.h"

namespace cortexflow::cli {

// The agent that a request goes to.
struct AgentAt {
  std::string node;  // empty: the only one that the environment, or --node, is about
  Client client;
};

struct Context {
  std::string socket;  // --socket; empty: the environment's
  std::string env;     // --env; empty: the current one
  std::string node;    // --node
  std::string identity_socket = kIdentitySocket;
  HttpsServer identity_server;  // no URL: the socket
  std::string output = "table";
  std::string color = "auto";
  bool has_names = false;  // -o name has a meaning for the command
  std::function<Result<void>()> run;

  static constexpr const char* kIdentitySocket = "/run/cortexflow/identity.sock";

  [[nodiscard]] Result<Environment> environment() const;
  // Of an environment that is one; an error that says so otherwise.
  [[nodiscard]] Result<std::shared_ptr<Cluster>> cluster() const;
  // Where it can't be told which agent is meant, requests fail and say why.
  [[nodiscard]] Client client() const;
  [[nodiscard]] Client identity_client() const;
  // All of a cluster, without --node; else the one.
  [[nodiscard]] Result<std::vector<AgentAt>> agents() const;
  [[nodiscard]] bool is_table() const { return output == "table" || output == "wide"; }
  [[nodiscard]] bool use_color() const;  // on standard output

 private:
  mutable std::shared_ptr<Cluster> cluster_;  // once it was asked for
};

// Shows `document` as -o says; as a table, the rows at `key` with `columns`, as names, what lies at `name` in each.
struct Shown {
  std::string key;
  Columns columns;
  Columns wide_columns = {};
  std::string name = {};
};
void show(const Context& context, const nlohmann::ordered_json& document, const Shown& shown);
// Shows it as JSON or YAML; false where another form is wanted.
[[nodiscard]] bool show_document(const Context& context, const nlohmann::ordered_json& document);

void add_install(CLI::App& app, Context& context);
void add_sysdump(CLI::App& app, Context& context);
void add_env(CLI::App& app, Context& context);
void add_relay(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);
void add_dns(CLI::App& app, Context& context);
void add_dns_watch(CLI::App& dns, Context& context);
void add_dns_top(CLI::App& dns, Context& context);
void add_flow(CLI::App& app, Context& context);
void add_flow_watch(CLI::App& noun, Context& context, const std::string& verb);
void add_monitoring(CLI::App& app, Context& context);
void add_workload(CLI::App& app, Context& context);
void add_service(CLI::App& app, Context& context);
void add_lb(CLI::App& app, Context& context);
void add_lb_simulate(CLI::App& lb, Context& context);
void add_explain(CLI::App& app, Context& context);
void add_policy(CLI::App& app, Context& context);
void add_policy_apply(CLI::App& policy, Context& context);
void add_policy_simulate(CLI::App& policy, Context& context);
void add_identity(CLI::App& app, Context& context);
void add_cert(CLI::App& app, Context& context);
void add_cert_issue(CLI::App& cert, Context& context);
void add_bpf(CLI::App& app, Context& context);
void add_logs(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

// All of them, and the flags that all take.
void add_all(CLI::App& app, Context& context);

// Parses and runs.  0: done; 1: it failed; 2: the command line is wrong.
[[nodiscard]] int run(int argc, const char* const* argv);

}  // namespace cortexflow::cli
