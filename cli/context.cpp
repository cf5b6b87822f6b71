// SPDX-License-Identifier: Apache-2.0
// Which agent a command is about.
#include "cli/commands.h"
#include "cli/unix_transport.h"

namespace cortexflow::cli {
namespace {

// Of an agent that can't be told: every request says why.
class NoTransport : public Transport {
 public:
  explicit NoTransport(Error why) : why_(std::move(why)) {}
  [[nodiscard]] Result<std::unique_ptr<Connection>> connect() const override { return tl::make_unexpected(why_); }

 private:
  Error why_;
};

// `socket` is the cluster's agents'.
Result<std::shared_ptr<const Transport>> transport_to(const Context& context, const std::string& socket,
                                                      std::string next_step = {}) {
  const auto cluster = context.cluster();
  if (!cluster) return tl::make_unexpected(cluster.error());
  const auto agent = (*cluster)->agent_of(context.node);
  if (!agent) return tl::make_unexpected(agent.error());
  return (*cluster)->transport(*agent, socket, std::move(next_step));
}

Client client_by(Result<std::shared_ptr<const Transport>> transport) {
  if (transport) return Client(std::move(*transport));
  return Client(std::make_shared<NoTransport>(std::move(transport.error())));
}

}  // namespace

Result<Environment> Context::environment() const {
  if (!socket.empty() && !env.empty()) {
    return tl::make_unexpected(
        Error{"both a socket and an environment are given",
              "leave out --socket or --env (CORTEXFLOW_CONTROL_SOCKET and CORTEXFLOW_ENV are the same)"});
  }
  Environment found{{}, socket, {}, {}, {}, {}};
  if (socket.empty()) {
    const auto environments = Environments::read(Environments::default_path());
    if (!environments) return tl::make_unexpected(environments.error());
    auto named = environments->find(env);
    if (!named) return tl::make_unexpected(named.error());
    found = std::move(*named);
  }
  if (found.is_cluster() || node.empty()) return found;
  return tl::make_unexpected(
      Error{"--node is about clusters, this is one machine", "leave it out, or name a cluster with --env"});
}

Result<std::shared_ptr<Cluster>> Context::cluster() const {
  if (cluster_) return cluster_;
  const auto found = environment();
  if (!found) return tl::make_unexpected(found.error());
  if (!found->is_cluster()) {
    return tl::make_unexpected(Error{"this is about a cluster, and the environment is one machine",
                                     "name a context of your kubeconfig with --env; cfcli env list shows them"});
  }
  auto opened = Cluster::open(*found);
  if (opened) cluster_ = *opened;
  return opened;
}

Client Context::client() const {
  const auto found = environment();
  if (!found) return Client(std::make_shared<NoTransport>(found.error()));
  if (!found->is_cluster()) return Client(std::make_shared<UnixTransport>(found->socket));
  return client_by(transport_to(*this, kAgentSocket));
}

Client Context::identity_client() const {
  if (!identity_server.url.empty()) return Client(std::make_shared<HttpsTransport>(identity_server));
  const UnixTransport::Peer authority{"cfidentity", "cfidentity", "--identity-socket"};
  const auto here = std::make_shared<UnixTransport>(identity_socket, authority);
  if (identity_socket != kIdentitySocket || !socket.empty()) return Client(here);
  const auto found = environment();
  if (!found) return Client(std::make_shared<NoTransport>(found.error()));
  if (!found->is_cluster()) return Client(here);
  return client_by(transport_to(
      *this, kIdentitySocket,
      "through a cluster an authority on the agent's node is reached alone (identity.mode: embedded, or a "
      "cfidentity there); the chart's cfidentity issues to --server, and lists and revokes in its leader's "
      "pod: kubectl exec LEADER -- cfcli cert, see README, Identity"));
}

Result<std::vector<AgentAt>> Context::agents() const {
  const auto found = environment();
  if (!found) return tl::make_unexpected(found.error());
  if (!found->is_cluster() || !node.empty()) return std::vector<AgentAt>{{{}, client()}};
  const auto opened = cluster();
  if (!opened) return tl::make_unexpected(opened.error());
  const auto all = (*opened)->agents();
  if (!all) return tl::make_unexpected(all.error());
  if (all->empty()) return tl::make_unexpected((*opened)->agent_of({}).error());
  std::vector<AgentAt> out;
  for (const auto& agent : *all) out.push_back({agent.node, Client((*opened)->transport(agent, kAgentSocket))});
  return out;
}

}  // namespace cortexflow::cli
