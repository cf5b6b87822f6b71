// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/leftovers.h"

#include <array>

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

}  // namespace

Leftovers leftovers(ApiServer& server, const Release& release) {
  Leftovers out;
  const auto selector = "app.kubernetes.io/instance=" + release.name;
  const auto in = [&](const char* group, const char* resource) {
    return fmt::format("{}/namespaces/{}/{}", group, release.space, resource);
  };
  // DaemonSets: that of the agents, and the one that cleans nodes of pins.
  const std::array paths{in("/apis/apps/v1", "daemonsets"),
                         in("/apis/apps/v1", "deployments"),
                         in("/apis/batch/v1", "jobs"),
                         in("/api/v1", "pods"),
                         in("/api/v1", "services"),
                         in("/api/v1", "serviceaccounts"),
                         in("/api/v1", "configmaps"),
                         std::string("/apis/rbac.authorization.k8s.io/v1/clusterroles"),
                         std::string("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
                         std::string("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
                         std::string("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations")};
  for (const auto& path : paths) {
    const auto found = server.list(path, selector);
    const auto resource = path.substr(path.rfind('/') + 1);
    if (!found) {
      out.stray.push_back(fmt::format("perhaps {} ({})", resource, found.error().error.message));
      continue;
    }
    for (const auto& one : *found) {
      if (text_at(one, "/metadata/deletionTimestamp").empty())
        out.stray.push_back(resource + "/" + text_at(one, "/metadata/name"));
    }
  }
  // What the clean-up made of its own, without that label.
  for (const auto& path :
       {in("/apis/apps/v1", "daemonsets"), in("/apis/batch/v1", "jobs"), in("/api/v1", "serviceaccounts")}) {
    const auto name = release.name + "-cleanup";
    const auto found = server.get(path + "/" + name);
    if (found && text_at(*found, "/metadata/deletionTimestamp").empty())
      out.stray.push_back(path.substr(path.rfind('/') + 1) + "/" + name);
  }
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
