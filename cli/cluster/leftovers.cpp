// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/leftovers.h"

#include <array>
#include <set>

#include "cli/cluster/helm.h"

namespace cortexflow::cli {
namespace {

constexpr const char* kCrds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

ApiResult<std::vector<std::string>> own_crds(ApiServer& server) {
  const auto all = server.list(kCrds);
  if (!all) return tl::make_unexpected(all.error());
  std::vector<std::string> out;
  for (const auto& one : *all) {
    if (text_at(one, "/spec/group") == "cortexflow.io") out.push_back(text_at(one, "/metadata/name"));
  }
  return out;
}

// helm leaves it on purpose.
bool is_kept(const Json& object) { return text_at(object, "/metadata/annotations/helm.sh~1resource-policy") == "keep"; }

}  // namespace

Leftovers leftovers(ApiServer& server, const Release& release) {
  Leftovers out;
  const auto selector = "app.kubernetes.io/instance=" + release.name;
  const auto in = [&](const char* group, const char* resource) {
    return fmt::format("{}/namespaces/{}/{}", group, release.space, resource);
  };
  std::set<std::string> stray;  // two versions of a group show the same
  // DaemonSets: that of the agents, and the one that cleans nodes of pins.
  const std::array paths{in("/apis/apps/v1", "daemonsets"),
                         in("/apis/apps/v1", "deployments"),
                         in("/apis/batch/v1", "jobs"),
                         in("/api/v1", "pods"),
                         in("/api/v1", "services"),
                         in("/api/v1", "serviceaccounts"),
                         in("/api/v1", "configmaps"),
                         in("/api/v1", "secrets"),
                         in("/api/v1", "endpoints"),
                         in("/apis/coordination.k8s.io/v1", "leases"),
                         in("/apis/networking.k8s.io/v1", "networkpolicies"),
                         in("/apis/policy/v1", "poddisruptionbudgets"),
                         in("/apis/policy/v1beta1", "poddisruptionbudgets"),
                         in("/apis/monitoring.coreos.com/v1", "podmonitors"),
                         in("/apis/monitoring.coreos.com/v1", "prometheusrules"),
                         in("/apis/rbac.authorization.k8s.io/v1", "roles"),
                         in("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
                         std::string("/apis/rbac.authorization.k8s.io/v1/clusterroles"),
                         std::string("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
                         std::string("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
                         std::string("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations")};
  for (const auto& path : paths) {
    const auto found = server.list(path, selector);
    const auto resource = path.substr(path.rfind('/') + 1);
    if (!found) {
      // A kind that the server does not know; who has no right to it is told so first.
      const auto group = server.get(path.substr(0, path.find("/namespaces/")));
      if (found.error().status == 404 || (!group && group.error().status == 404)) continue;
      stray.insert(fmt::format("perhaps {} ({})", resource, found.error().error.message));
      continue;
    }
    for (const auto& one : *found) {
      if (!text_at(one, "/metadata/deletionTimestamp").empty()) continue;
      const auto name = resource + "/" + text_at(one, "/metadata/name");
      if (is_kept(one)) {
        out.kept.push_back(name + ", with what belongs to it (kubectl delete removes both)");
      } else {
        stray.insert(name);
      }
    }
  }
  // What the clean-up made of its own, without that label.
  for (const auto& path :
       {in("/apis/apps/v1", "daemonsets"), in("/apis/batch/v1", "jobs"), in("/api/v1", "serviceaccounts"),
        in("/apis/rbac.authorization.k8s.io/v1", "roles"), in("/apis/rbac.authorization.k8s.io/v1", "rolebindings")}) {
    const auto name = chart_name(release.name) + "-cleanup";
    const auto found = server.get(path + "/" + name);
    if (found && text_at(*found, "/metadata/deletionTimestamp").empty())
      stray.insert(path.substr(path.rfind('/') + 1) + "/" + name);
  }
  out.stray.assign(stray.begin(), stray.end());
  if (server.get("/api/v1/namespaces/" + release.space)) out.kept.push_back("namespace " + release.space);
  const auto crds = own_crds(server);
  if (!crds) {
    out.stray.push_back(fmt::format("perhaps CRDs ({})", crds.error().error.message));
    return out;
  }
  for (const auto& name : *crds) out.kept.push_back("CRD " + name + ", with the policies in it (--crds removes it)");
  return out;
}

Result<void> remove_crds(ApiServer& server) {
  const auto crds = own_crds(server);
  if (!crds) return tl::make_unexpected(crds.error().error);
  for (const auto& name : *crds) {
    if (const auto done = server.remove(fmt::format("{}/{}", kCrds, name)); !done && done.error().status != 404) {
      return tl::make_unexpected(Error(done.error().error).wrap("cannot remove CRD " + name));
    }
  }
  return {};
}

}  // namespace cortexflow::cli
