// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/api_secrets.h"

#include "agent/source/kubernetes/base64.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

tl::unexpected<StoreError> failed(ApiObject answer) {
  return tl::make_unexpected(StoreError{answer.outcome == ApiOutcome::kConflict, std::move(answer.error)});
}

tl::unexpected<StoreError> not_understood(const std::string& what) {
  return tl::make_unexpected(StoreError{false, {"the API server's answer is no Secret: " + what, {}}});
}

Stored<StoredSecret> secret_of(const json& object) {
  StoredSecret secret{metadata_text(object, "resourceVersion"), metadata_text(object, "uid"), {}, {}};
  if (secret.version.empty() || secret.uid.empty()) return not_understood("it has no version");
  try {
    secret.claim = object.at("metadata").value("annotations", json::object()).value(kClaimAnnotation, "");
    const auto data = object.value("data", json::object());
    for (const auto& [key, value] : data.items()) {
      auto octets = source::from_base64(value.get<std::string>());
      if (!octets) return not_understood("its data are not in base64");
      secret.data.emplace(key, std::move(*octets));
    }
  } catch (const json::exception&) {
    return not_understood("of another form");
  }
  return secret;
}

}  // namespace

ApiSecrets::ApiSecrets(source::ApiCalls& calls, const std::string& name_space, std::string owner)
    : secrets_(calls, fmt::format("/api/v1/namespaces/{}/secrets", name_space),
               "get, create, patch and delete Secrets"),
      owner_(std::move(owner)) {}

Stored<std::optional<StoredSecret>> ApiSecrets::get(const std::string& name) {
  auto answer = secrets_.get(name);
  if (answer.outcome == ApiOutcome::kMissing) return std::nullopt;
  if (answer.outcome != ApiOutcome::kObject) return failed(std::move(answer));
  auto secret = secret_of(answer.object);
  if (!secret) return tl::make_unexpected(std::move(secret.error()));
  return std::optional(std::move(*secret));
}

Stored<StoredSecret> ApiSecrets::put(const std::string& name, const std::string& version, const std::string& claim,
                                     const std::map<std::string, std::string>& data) {
  json document{{"metadata", {{"annotations", {{kClaimAnnotation, claim}}}}}};
  for (const auto& [key, octets] : data) document["data"][key] = source::to_base64(octets);
  auto& metadata = document["metadata"];
  if (!version.empty()) {
    metadata["resourceVersion"] = version;
    auto answer = secrets_.merge(name, document);
    // One that is gone was removed by somebody else.
    if (answer.outcome == ApiOutcome::kMissing) answer.outcome = ApiOutcome::kConflict;
    return answer.outcome == ApiOutcome::kObject ? secret_of(answer.object) : failed(std::move(answer));
  }
  document["apiVersion"] = "v1";
  document["kind"] = "Secret";
  metadata["name"] = name;
  metadata["labels"] = {{"app.kubernetes.io/managed-by", "cfidentity"}};
  if (name != owner_) {
    const auto uid = owner_uid();
    if (!uid) return tl::make_unexpected(uid.error());
    metadata["ownerReferences"] =
        json::array({{{"apiVersion", "v1"}, {"kind", "Secret"}, {"name", owner_}, {"uid", *uid}}});
  }
  auto answer = secrets_.create(document);
  return answer.outcome == ApiOutcome::kObject ? secret_of(answer.object) : failed(std::move(answer));
}

Stored<void> ApiSecrets::remove(const std::string& name, const std::string& version) {
  auto answer = secrets_.remove(name, version);
  if (answer.outcome == ApiOutcome::kObject || answer.outcome == ApiOutcome::kMissing) return {};
  return failed(std::move(answer));
}

Stored<std::string> ApiSecrets::owner_uid() {
  const auto owner = get(owner_);
  if (!owner) return tl::make_unexpected(owner.error());
  if (*owner) return (*owner)->uid;
  const auto made = put(owner_, "", "", {});
  if (!made) return tl::make_unexpected(made.error());
  return made->uid;
}

}  // namespace cortexflow::identity
