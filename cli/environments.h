// SPDX-License-Identifier: Apache-2.0
// What cfcli can talk to, by name: single machines and clusters side by side.  Those that somebody has added are in a
// file; the contexts of the kubeconfig are there by themselves, and so is this machine, "local".
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::cli {

inline constexpr const char* kLocal = "local";
inline constexpr const char* kAgentSocket = "/run/cortexflow/agent.sock";

struct Environment {
  std::string name;
  std::string socket;                   // a machine's control socket; empty: a cluster
  std::vector<std::string> kubeconfig;  // files, as in KUBECONFIG
  std::string context;                  // in these; empty: the current one
  std::string mesh_namespace;           // where the agents are; empty: they are looked for in all
  std::string origin;                   // the file that says so; "built in"

  [[nodiscard]] bool is_cluster() const { return socket.empty(); }
};

class Environments {
 public:
  // $XDG_CONFIG_HOME/cortexflow/environments.yaml, else below ~/.config.
  [[nodiscard]] static std::string default_path();
  // No such file: none were added.
  [[nodiscard]] static Result<Environments> read(const std::string& path);

  // That of this name; empty: the current one.
  [[nodiscard]] Result<Environment> find(const std::string& name) const;
  // All that can be found, those of the file first.  `trouble`: why the kubeconfig's are not among them.
  [[nodiscard]] std::vector<Environment> all(std::string& trouble) const;
  [[nodiscard]] std::string current() const { return current_.empty() ? kLocal : current_; }

  // Changes the file at `path`, under a lock, from what it has at that time.
  [[nodiscard]] static Result<void> add(const std::string& path, const Environment& added);
  [[nodiscard]] static Result<void> use(const std::string& path, const std::string& name);
  [[nodiscard]] static Result<void> remove(const std::string& path, const std::string& name);

 private:
  [[nodiscard]] Result<void> write(const std::string& path) const;
  [[nodiscard]] std::vector<Environment>::const_iterator kept(const std::string& name) const;

  std::vector<Environment> kept_;
  std::string current_;  // empty: kLocal
};

}  // namespace cortexflow::cli
