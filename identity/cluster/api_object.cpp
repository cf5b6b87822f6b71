// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/api_object.h"

#include "agent/source/kubernetes/json_text.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kAnswerMax{5};
constexpr std::size_t kOctetsMax = 4U << 20U;  // a Secret of a megabyte, in base64, with room for its metadata
constexpr std::size_t kWordsMax = 300;

// The server's own words, in a Status.
std::string words_of(const std::string& body) {
  auto words = source::status_text(body, "message");
  if (words.size() > kWordsMax) words.resize(kWordsMax);
  return words.empty() ? "no reason given" : words;
}

}  // namespace

std::string metadata_text(const json& object, const char* key) {
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return {};
  const auto at = metadata->find(key);
  return at != metadata->end() && at->is_string() ? at->get<std::string>() : std::string();
}

ApiObject ApiObjects::get(const std::string& name) const { return ask({"GET", collection_ + "/" + name}); }

ApiObject ApiObjects::create(const json& object) const { return ask({"POST", collection_, object.dump()}); }

ApiObject ApiObjects::merge(const std::string& name, const json& patch) const {
  return ask({"PATCH", collection_ + "/" + name, patch.dump(), "application/merge-patch+json"});
}

ApiObject ApiObjects::remove(const std::string& name, const std::string& version) const {
  const json options{
      {"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"preconditions", {{"resourceVersion", version}}}};
  return ask({"DELETE", collection_ + "/" + name, options.dump()});
}

ApiObject ApiObjects::ask(source::ApiRequest request) const {
  const auto reply = calls_.ask(std::move(request), kAnswerMax, kOctetsMax);
  if (!reply.error.empty()) return {ApiOutcome::kFailed, {}, {reply.error, "is the API server up, and reachable?"}};
  if (reply.too_long) return {ApiOutcome::kFailed, {}, {"the API server's answer is too long", {}}};
  switch (reply.status) {
    case 200:
    case 201: {
      auto object = source::parse_json(reply.body);
      if (object && object->is_object()) return {ApiOutcome::kObject, std::move(*object), {}};
      return {ApiOutcome::kFailed, {}, {"the API server's answer is no object", {}}};
    }
    case 404:
      return {ApiOutcome::kMissing, {}, {words_of(reply.body), {}}};
    case 409:
      return {ApiOutcome::kConflict, {}, {"somebody else has written it: " + words_of(reply.body), {}}};
    case 401:
      return {ApiOutcome::kFailed, {}, {"the API server does not take this process's credential", {}}};
    case 403:
      return {ApiOutcome::kFailed, {}, {words_of(reply.body), "let its service account " + may_}};
    default:
      return {ApiOutcome::kFailed,
              {},
              {fmt::format("the API server answered with status {}: {}", reply.status, words_of(reply.body)), {}}};
  }
}

}  // namespace cortexflow::identity
