// SPDX-License-Identifier: Apache-2.0
// The agent's own settings: defaults, then agent.yaml, then flags, then CORTEXFLOW_* (each overrides the one before).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/ip_address.h"

namespace cortexflow::source {

// XDP for node ports, load balancer and external addresses.
struct EdgeSettings {
  std::vector<std::string> interfaces;      // empty: none
  std::string mode = "auto";                // auto, native, generic
  std::string forwarding = "snat";          // snat, ipip, gue
  std::vector<model::IpAddress> addresses;  // to send from, one a family; missing: the first of the interfaces
  std::uint16_t nat_port_min = 61000, nat_port_max = 65535;
  std::uint16_t gue_port = 6080;  // IANA's
  std::uint32_t flows = 131072;   // that have an entry of their own
  bool keep_on_exit = false;      // the program goes on when the agent ends
};

// AuthorizationPolicy and NetworkPolicy in the kernel.
struct PolicySettings {
  std::string trust_domain = "cluster.local";  // of this mesh's workloads
  std::string unknown = "deny";                // deny, allow, audit: callers in `workload_ranges` that no pod has yet
  std::vector<std::string> workload_ranges;    // CIDRs that workloads' addresses are from
  bool keep_on_exit = true;                    // policy is enforced on when the agent ends
};

// The certificate authority inside the agent.
struct IdentitySettings {
  bool embedded = false;
  std::string config = "/etc/cortexflow/identity.yaml";
};

struct ListenAddress {
  std::string address;  // without brackets
  std::uint16_t port = 0;
  bool operator==(const ListenAddress&) const = default;
};

struct Settings {
  std::string config_file;  // empty: none was read
  std::string node_name;    // empty: the host's name
  std::string control_socket = "/run/cortexflow/agent.sock";
  std::string metrics_listen = "0.0.0.0:9464";
  std::string pin_path = "/sys/fs/bpf/cortexflow";
  std::string state_dir = "/var/lib/cortexflow";  // what operators set, kept over restarts
  std::vector<std::string> manifests;             // directories
  std::string kubeconfig;                         // a file, or "in-cluster"; empty: no API server
  std::vector<std::string> kubernetes_servers;    // in place of the kubeconfig's
  std::string zone;                               // topology.kubernetes.io/zone of this node; empty: none
  bool keep_services_on_exit = false;             // the kernel goes on translating when the agent ends
  std::vector<std::string> service_interfaces;    // served by their packets; names, with wildcards
  std::string health_check_listen;                // address of services' healthCheckNodePorts; empty: none are served
  std::optional<ListenAddress> proxy_health_listen;  // kube-proxy's /healthz; none: not served
  std::string cgroup_root;                           // observed with what is below it; empty: the whole machine
  std::size_t health_checks_in_flight = 256;
  IdentitySettings identity;
  PolicySettings policy;
  EdgeSettings edge;
  std::string log_level = "info";
  std::string log_format = "text";
  bool program_stats = false;  // kernel.bpf_stats_enabled while the agent runs
  std::vector<std::uint16_t> dns_ports{53};
  std::chrono::milliseconds dns_timeout{5000};
  std::size_t dns_metric_names = 0;

  [[nodiscard]] bool follows_services() const { return !manifests.empty() || !kubeconfig.empty(); }
};

// Values as a user writes them; flags and environment hold the same texts.
struct SettingText {
  std::string key;    // as in agent.yaml, nested keys joined by dots: "dns.timeout"
  std::string value;  // lists joined by commas
  std::string where;  // "agent.yaml:3", "--dns-timeout", "CORTEXFLOW_DNS_TIMEOUT"
};

inline constexpr const char* kDefaultConfigFile = "/etc/cortexflow/agent.yaml";

// Reads a file into `settings`.  The error has key, line, and what was expected; nothing is half applied.
[[nodiscard]] Result<void> read_file(const std::string& path, Settings& settings);

// Applies one value.
[[nodiscard]] Result<void> apply(const SettingText& text, Settings& settings);

// "250ms", "5s", "1m"
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(const std::string& text);

// All keys, in the order of the documentation.
[[nodiscard]] const std::vector<std::string>& setting_keys();

// What a key's value has to be, in a few words.
[[nodiscard]] const std::string& expected_value(const std::string& key);

// Several values, given one by one or joined by commas?
[[nodiscard]] bool takes_list(const std::string& key);

// "dns.timeout" -> "CORTEXFLOW_DNS_TIMEOUT"
[[nodiscard]] std::string environment_name(const std::string& key);

}  // namespace cortexflow::source
