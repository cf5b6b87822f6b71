// SPDX-License-Identifier: Apache-2.0
// identity.yaml.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "identity/keys.h"
#include "identity/mapping.h"

namespace cortexflow::identity {

inline constexpr const char* kDefaultSettingsFile = "/etc/cortexflow/identity.yaml";

// State in Secrets of a cluster, for several replicas of which one leads.
struct ClusterSettings {
  std::string name;  // of the Lease and of the Secret; others' names begin with it
  std::string name_space;
  std::string kubeconfig = "in-cluster";  // or a file
  std::string service;                    // whose Endpoints are the one that leads; empty: none
  std::string replica;                    // this one; the host's name where none is given, as in a pod
  std::string address;                    // of this one, for the Endpoints
};

struct Settings {
  std::string trust_domain;
  std::string state_dir = "/var/lib/cortexflow/identity";
  std::optional<ClusterSettings> cluster;  // instead of state_dir
  std::string control_socket = "/run/cortexflow/identity.sock";
  std::string workload_api_socket = "/run/cortexflow/workload.sock";
  std::string metrics_listen = "127.0.0.1:9465";
  std::string crl_listen;  // empty: nowhere
  std::string crl_url;     // that certificates name; empty: none
  std::string log_level = "info";
  std::string listen;                         // the API over HTTPS; empty: nowhere
  std::vector<std::string> listen_dns_names;  // of its own certificate; at least one with `listen`
  struct {
    std::string kubeconfig = "in-cluster";  // or a file
    std::string audience = "cortexflow";
    std::vector<std::string> dns_names;  // that each service account may have: HttpsSettings::dns_names
  } token_review;
  struct {
    std::string certificate, key;  // files; empty: an own root
    std::string roots;             // a file of further roots for the bundle
    std::string passphrase_file;   // empty: credential identity-passphrase of the service, if it has one
    KeyType key_type = KeyType::kEcP256;
    std::chrono::seconds lifetime{std::chrono::hours(10 * 365 * 24)};
  } authority;
  struct {
    std::chrono::seconds lifetime{std::chrono::hours(24)};
    std::chrono::seconds lifetime_max{std::chrono::hours(24)};
  } certificates;
  struct {
    std::string listen;                  // empty: nowhere
    std::vector<std::string> dns_names;  // of its certificate; at least one with `listen`
    std::string configuration;           // whose roots are kept current; empty: none
    std::string kubeconfig = "in-cluster";
    std::set<std::string> system_namespaces{"kube-node-lease", "kube-public", "kube-system"};
  } webhook;
  std::vector<WorkloadRule> workloads;
};

// "127.0.0.1:9465" and "[::1]:9465" as an address without brackets, and a port.
[[nodiscard]] std::pair<std::string, std::uint16_t> split_listen(const std::string& listen);

// Refuses what it doesn't know; the error names line and key, and says what was expected.
[[nodiscard]] Result<Settings> parse_settings(std::string_view text);
// Of a file; what differs from one replica to the next is taken from the environment where it is set there:
// CORTEXFLOW_IDENTITY_REPLICA and CORTEXFLOW_IDENTITY_ADDRESS.
[[nodiscard]] Result<Settings> read_settings(const std::string& path);
// The mapping, which alone may change while cfidentity runs with `running`.
[[nodiscard]] Result<std::vector<WorkloadRule>> reread_workloads(const std::string& path, const Settings& running);

}  // namespace cortexflow::identity
