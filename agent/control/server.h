// SPDX-License-Identifier: Apache-2.0
// The control API: HTTP and JSON on a Unix socket, described by openapi.json.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/deny_operator.h"
#include "agent/control/node_view.h"
#include "agent/control/parameters.h"
#include "agent/control/policy_operator.h"
#include "agent/control/service_operator.h"

namespace httplib {
struct Request;
struct Response;
}  // namespace httplib

namespace cortexflow::http {
class Server;
}

namespace cortexflow::control {

class Server {
 public:
  static constexpr int kWatchersMax = 32;
  static constexpr std::uint64_t kOpenFlowsMax = 100'000;

  // `node` and `services` have to outlive the server.  The socket is readable and writable by `group`, if there is such
  // a group.
  // `deny` and `policies` too; null: there is no edge, or no manifests are followed.
  Server(const NodeView& node, ServiceOperator& services, std::string socket_path, std::string group,
         DenyOperator* deny = nullptr, PolicyOperator* policies = nullptr);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Refused where something answers on the socket, or where the path is no socket; a socket left over is replaced.
  [[nodiscard]] Result<void> start();
  // After node.draining(): watchers get their last line.  Removes the socket.
  void stop();

  struct Route {
    std::string path;
    ParameterNames parameters;
    void (Server::*serve)(const Parameters& parameters, httplib::Response& response);
  };
  // Every path that is read, as in openapi.json.
  [[nodiscard]] static const std::vector<Route>& routes();

  // What changes something, or asks with a body; `now` is answered: what was changed, as it is then.
  struct Write {
    std::string method;  // PUT or, where nothing is changed, POST, with a body, or DELETE, with parameters
    std::string path;
    ParameterNames parameters;
    Done (Server::*change)(const Parameters& parameters, const nlohmann::ordered_json& body,
                           nlohmann::ordered_json& now);
  };
  [[nodiscard]] static const std::vector<Write>& writes();

 private:
  void add_routes();
  void add_writes();
  void serve_write(const Write& write, const httplib::Request& request, httplib::Response& response);
  Done put_weights(const Parameters&, const nlohmann::ordered_json& body, nlohmann::ordered_json& now);
  Done delete_weights(const Parameters& parameters, const nlohmann::ordered_json&, nlohmann::ordered_json& now);
  Done put_drain(const Parameters&, const nlohmann::ordered_json& body, nlohmann::ordered_json& now);
  Done delete_drain(const Parameters& parameters, const nlohmann::ordered_json&, nlohmann::ordered_json& now);
  Done put_deny_list(const Parameters&, const nlohmann::ordered_json& body, nlohmann::ordered_json& now);
  Done delete_deny_list(const Parameters& parameters, const nlohmann::ordered_json&, nlohmann::ordered_json& now);
  Done put_policies(const Parameters&, const nlohmann::ordered_json& body, nlohmann::ordered_json& now);
  Done post_policy_simulation(const Parameters&, const nlohmann::ordered_json& body, nlohmann::ordered_json& now);
  Done delete_policies(const Parameters& parameters, const nlohmann::ordered_json&, nlohmann::ordered_json& now);
  [[nodiscard]] nlohmann::ordered_json service_now(const std::string& service) const;
  [[nodiscard]] Answer<nlohmann::ordered_json> deny_list_now(const Parameters& parameters) const;
  [[nodiscard]] Done then_deny_list(Done done, nlohmann::ordered_json& now) const;
  void serve_deny_list(const Parameters& parameters, httplib::Response& response);
  void serve_policies(const Parameters& parameters, httplib::Response& response);
  void serve_identities(const Parameters& parameters, httplib::Response& response);
  void serve_policy_check(const Parameters& parameters, httplib::Response& response);
  void serve_status(const Parameters& parameters, httplib::Response& response);
  void serve_version(const Parameters& parameters, httplib::Response& response);
  void serve_bpf(const Parameters& parameters, httplib::Response& response);
  void serve_workloads(const Parameters& parameters, httplib::Response& response);
  void serve_drops(const Parameters& parameters, httplib::Response& response);
  void serve_veths(const Parameters& parameters, httplib::Response& response);
  void serve_services(const Parameters& parameters, httplib::Response& response);
  void serve_simulation(const Parameters& parameters, httplib::Response& response);
  void serve_explanation(const Parameters& parameters, httplib::Response& response);
  void serve_logs(const Parameters& parameters, httplib::Response& response);
  template <typename Record>
  void serve_records(const RecordView<Record>& view, const Parameters& parameters, httplib::Response& response);
  void serve_lookups(const Parameters& parameters, httplib::Response& response);
  void serve_flows(const Parameters& parameters, httplib::Response& response);
  void serve_open_flows(const Parameters& parameters, httplib::Response& response);
  template <typename Row>
  void serve_top(const RecordView<typename Row::Record>& view, const Parameters& parameters,
                 httplib::Response& response);
  void serve_dns_top(const Parameters& parameters, httplib::Response& response);
  void serve_flow_top(const Parameters& parameters, httplib::Response& response);
  void serve_openapi(const Parameters& parameters, httplib::Response& response);
  [[nodiscard]] bool watcher_enters();
  void watcher_leaves();

  const NodeView& node_;
  ServiceOperator& services_;
  DenyOperator* deny_;
  PolicyOperator* policies_;
  std::string socket_path_;
  std::string group_;
  std::mutex watchers_mutex_;
  std::condition_variable watcher_left_;
  int watchers_ = 0;
  std::mutex top_mutex_;
  std::unique_ptr<http::Server> http_;
  bool serves_ = false;
};

}  // namespace cortexflow::control
