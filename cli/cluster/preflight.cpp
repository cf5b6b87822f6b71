// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/preflight.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include "agent/source/manifest/document_split.h"
#include "agent/source/manifest/field.h"
#include "agent/source/manifest/yaml_reader.h"

namespace cortexflow::cli {
namespace {

constexpr int kServerMinorMin = 20;
constexpr std::pair<int, int> kKernelMin{5, 10};

// Where kube-proxy says that it is well, on every address of its node unless it is told otherwise; and of how many
// nodes that is asked.
constexpr int kProxyHealthPort = 10256;
constexpr std::size_t kNodesAskedMax = 3;
// Of agent.yaml, as the chart sets it with serviceLB.replace.
constexpr const char* kTakesItsPlace = "proxy_health_listen: ";

// Group, resource, namespace (empty: of the cluster).
using Right = std::tuple<std::string, std::string, std::string>;

// "5.10.0-28" -> {5, 10}
std::pair<int, int> two_numbers(std::string_view text) {
  std::pair<int, int> out{0, 0};
  const auto* const end = text.end();
  const auto [at, error] = std::from_chars(text.begin(), end, out.first);
  if (error != std::errc() || at == end || *at != '.') return out;
  std::from_chars(at + 1, end, out.second);
  return out;
}

Check unknown(std::string name, const ApiError& error) {
  return {std::move(name), Finding::kUnknown, error.error.message};
}

bool is_of_cluster(const std::string& kind) {
  static const std::set<std::string> kKinds{"Namespace",
                                            "ClusterRole",
                                            "ClusterRoleBinding",
                                            "CustomResourceDefinition",
                                            "PriorityClass",
                                            "MutatingWebhookConfiguration",
                                            "ValidatingWebhookConfiguration"};
  return kKinds.contains(kind);
}

std::set<Right> rights_for(const std::string& manifests, const std::string& space) {
  std::set<Right> out{{"", "secrets", space}};  // where helm keeps releases
  for (const auto& text : source::split_yaml(manifests)) {
    const auto tree = source::read_yaml(text);
    if (!tree) continue;
    source::Document document{&*tree};
    const source::Field root(document);
    const auto kind = root["kind"].text();
    const auto version = root["apiVersion"].text();
    if (kind.empty()) continue;
    const auto slash = version.find('/');
    const auto group = slash == std::string::npos ? std::string() : version.substr(0, slash);
    out.insert({group, resource_of(kind), is_of_cluster(kind) ? "" : root["metadata"]["namespace"].text(space)});
  }
  return out;
}

// A node on which kube-proxy runs, in whatever way it was started; empty where none answers.
ApiResult<std::string> node_with_kube_proxy(ApiServer& server) {
  const auto nodes = server.list("/api/v1/nodes");
  if (!nodes) return tl::make_unexpected(nodes.error());
  for (std::size_t i = 0; i < std::min(nodes->size(), kNodesAskedMax); ++i) {
    auto node = text_at((*nodes)[i], "/metadata/name");
    const auto said = server.get(fmt::format("/api/v1/nodes/{}:{}/proxy/healthz", node, kProxyHealthPort));
    if (said && said->contains("lastUpdated") && !said->contains("servedBy")) return node;  // else it is an agent
    if (!said && said.error().status == 403) return tl::make_unexpected(said.error());
  }
  return std::string();
}

}  // namespace

std::string resource_of(const std::string& kind) {
  std::string out;
  for (const char c : kind) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  if (out.ends_with("y")) return out.substr(0, out.size() - 1) + "ies";
  return out + (out.ends_with("s") ? "es" : "s");
}

bool kernel_is_supported(const std::string& release) { return two_numbers(release) >= kKernelMin; }

ApiResult<std::vector<Release>> releases(ApiServer& server) {
  const auto sets = server.list("/apis/apps/v1/daemonsets", "app.kubernetes.io/name=cortexflow");
  if (!sets) return tl::make_unexpected(sets.error());
  std::vector<Release> out;
  for (const auto& one : *sets) {
    out.push_back({text_at(one, "/metadata/labels/app.kubernetes.io~1instance"), text_at(one, "/metadata/namespace"),
                   text_at(one, "/metadata/labels/helm.sh~1chart")});
  }
  return out;
}

ApiResult<Capabilities> capabilities_of(ApiServer& server) {
  const auto version = server.get("/version");
  const auto groups = version ? server.get("/apis") : version;
  if (!groups) return tl::make_unexpected(groups.error());
  Capabilities out{text_at(*version, "/gitVersion"), {}};
  for (const auto& group : groups->value("groups", Json::array())) {
    for (const auto& one : group.value("versions", Json::array())) {
      const auto name = text_at(one, "/groupVersion");
      out.versions.push_back(name);
      // One whose server is away has no kinds.
      const auto kinds = server.get("/apis/" + name);
      if (!kinds) continue;
      for (const auto& kind : kinds->value("resources", Json::array())) {
        if (text_at(kind, "/name").find('/') == std::string::npos)
          out.versions.push_back(name + "/" + text_at(kind, "/kind"));
      }
    }
  }
  return out;
}

Check check_server(ApiServer& server) {
  const std::string name = "API server";
  const auto version = server.get("/version");
  if (!version) return {name, Finding::kBad, version.error().error.to_string()};
  const auto words = text_at(*version, "/gitVersion");
  const auto numbers =
      two_numbers(words.starts_with('v') ? std::string_view(words).substr(1) : std::string_view(words));
  const auto detail = fmt::format("{} at {}", words, server.address());
  if (numbers >= std::pair{1, kServerMinorMin}) return {name, Finding::kGood, detail};
  return {name, Finding::kBad, fmt::format("{}: the chart needs 1.{} or newer", detail, kServerMinorMin)};
}

Check check_rights(ApiServer& server, const std::string& manifests, const std::string& space) {
  const std::string name = "your rights";
  std::vector<std::string> missing;
  const auto needed = rights_for(manifests, space);
  for (const auto& [group, resource, in] : needed) {
    Json attributes{{"verb", "create"}, {"group", group}, {"resource", resource}};
    if (!in.empty()) attributes["namespace"] = in;
    const auto review = server.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                                    {{"apiVersion", "authorization.k8s.io/v1"},
                                     {"kind", "SelfSubjectAccessReview"},
                                     {"spec", {{"resourceAttributes", attributes}}}});
    if (!review) return unknown(name, review.error());
    const Json::json_pointer allowed("/status/allowed");
    if (review->contains(allowed) && review->at(allowed) == true) continue;
    missing.push_back(resource + (group.empty() ? "" : "." + group) + (in.empty() ? "" : " in " + in));
  }
  if (missing.empty())
    return {name, Finding::kGood, fmt::format("you may create all {} kinds of the chart", needed.size())};
  return {name, Finding::kBad, fmt::format("you may not create {}", fmt::join(missing, ", "))};
}

Check check_releases(ApiServer& server) {
  const std::string name = "other releases";
  const auto found = releases(server);
  if (!found) return unknown(name, found.error());
  if (found->empty()) return {name, Finding::kGood, "none of this chart"};
  const auto& first = found->front();
  return {name, Finding::kBad,
          fmt::format(
              "{} is installed in namespace {} ({}): two agents on a node would undo each other's work; cfcli update "
              "brings that release up to date, cfcli uninstall removes it",
              first.name, first.space, first.chart)};
}

Check check_other_meshes(ApiServer& server) {
  const std::string name = "other meshes";
  const auto groups = server.get("/apis");
  if (!groups) return unknown(name, groups.error());
  static const std::vector<std::pair<std::string, std::string>> kMeshes{{"networking.istio.io", "Istio"},
                                                                        {"linkerd.io", "Linkerd"},
                                                                        {"kuma.io", "Kuma"},
                                                                        {"consul.hashicorp.com", "Consul"},
                                                                        {"cilium.io", "Cilium"}};
  std::vector<std::string> found;
  for (const auto& group : groups->value("groups", Json::array())) {
    for (const auto& [api, mesh] : kMeshes) {
      if (text_at(group, "/name") == api) found.push_back(mesh);
    }
  }
  const auto cilium = server.get("/api/v1/namespaces/kube-system/configmaps/cilium-config");
  const auto replaces = cilium ? text_at(*cilium, "/data/kube-proxy-replacement") : std::string();
  if (replaces == "true" || replaces == "strict") {
    return {name, Finding::kBad,
            "Cilium translates services where sockets connect (kube-proxy-replacement), as this agent does: one of the "
            "two has to stop"};
  }
  if (found.empty()) return {name, Finding::kGood, "none whose CRDs are known here"};
  return {
      name, Finding::kWarning,
      fmt::format(
          "{}: its sidecars or proxies go on; a call that this agent translates reaches them with a backend's address",
          fmt::join(found, ", "))};
}

Check check_kube_proxy(ApiServer& server, const std::string& manifests) {
  const std::string name = "kube-proxy";
  const bool replaces = manifests.find(kTakesItsPlace) != std::string::npos;
  const auto there = [&](const std::string& what) {
    return replaces ? Check{name, Finding::kWarning,
                            what +
                                ": the agents take its place (serviceLB.replace); remove it when they are ready, and "
                                "its rules (kube-proxy --cleanup)"}
                    : Check{name, Finding::kGood, what + ": it stays, for what no socket hook sees"};
  };
  const auto config = server.get("/api/v1/namespaces/kube-system/configmaps/kube-proxy");
  if (config) {
    const auto text = text_at(*config, "/data/config.conf");
    const auto at = text.find("\nmode:");
    auto mode = at == std::string::npos ? std::string() : text.substr(at + 6, text.find('\n', at + 1) - at - 6);
    std::erase_if(mode, [](char c) { return c == ' ' || c == '"' || c == '\''; });
    return there(fmt::format("mode {}", mode.empty() ? "iptables" : mode));
  }
  if (config.error().status != 404) return unknown(name, config.error());
  const auto set = server.get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy");
  if (set) return there("there, its mode is not told");
  const auto asked = node_with_kube_proxy(server);
  if (!asked) return unknown(name, asked.error());
  if (!asked->empty()) return there(fmt::format("a process of node {}, its mode is not told", *asked));
  if (replaces) return {name, Finding::kGood, "not there: the agents do its work (serviceLB.replace)"};
  return {name, Finding::kWarning,
          fmt::format("not found in kube-system, and no node answers on port {}: services are translated for sockets "
                      "that the agent sees, node ports and load balancers are answered by nobody, unless one runs that "
                      "listens on the nodes' loopback alone; set serviceLB.replace",
                      kProxyHealthPort)};
}

Check check_nodes(ApiServer& server) {
  const std::string name = "nodes";
  const auto nodes = server.list("/api/v1/nodes");
  if (!nodes) return unknown(name, nodes.error());
  std::vector<std::string> bad;
  std::set<std::string> kernels;
  for (const auto& node : *nodes) {
    const auto kernel = text_at(node, "/status/nodeInfo/kernelVersion");
    const auto machine = text_at(node, "/status/nodeInfo/architecture");
    kernels.insert(kernel);
    const auto who = text_at(node, "/metadata/name");
    if (!kernel_is_supported(kernel)) bad.push_back(fmt::format("{} has Linux {}, older than 5.10", who, kernel));
    if (machine != "amd64") bad.push_back(fmt::format("{} is {}, the image is for amd64", who, machine));
  }
  if (bad.empty()) return {name, Finding::kGood, fmt::format("{}, Linux {}", nodes->size(), fmt::join(kernels, ", "))};
  // The DaemonSet goes where it can; nodeSelector leaves the others out.
  return {name, bad.size() >= nodes->size() ? Finding::kBad : Finding::kWarning,
          fmt::format("{}", fmt::join(bad, "; "))};
}

}  // namespace cortexflow::cli
