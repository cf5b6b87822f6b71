// SPDX-License-Identifier: Apache-2.0
#include "agent/source/policy_documents.h"

#include <catch2/catch.hpp>

using namespace cortexflow;

namespace {

constexpr const char* kAllow = R"(apiVersion: cortexflow.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: web-only, namespace: shop, annotations: {note: "yes", number: "017", line: "a\nb \u00e9"}}
spec:
  rules:
  - from: [{source: {serviceAccounts: [web]}}]
    to: [{operation: {ports: [8080], protocols: [TCP]}}]
)";
constexpr const char* kIsolate = R"(apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web-only, namespace: shop}
spec: {podSelector: {}, policyTypes: [Egress]}
)";

std::string both() { return std::string("# two\n---\n") + kAllow + "---\n" + kIsolate; }

}  // namespace

TEST_CASE("An operator's policies are read as manifests are, and what is kept of them reads as the same") {
  const auto read = source::read_policy_documents(both());
  REQUIRE(read.refusals.empty());
  REQUIRE(read.documents.size() == 2);
  const auto again = source::read_policy_documents(source::policy_documents_text(read.documents));
  REQUIRE(again.refusals.empty());
  REQUIRE(again.documents.size() == 2);
  for (const auto& [key, document] : read.documents) {
    INFO(document.text);
    CHECK(model::same_value(document.object, again.documents.at(key).object));
    CHECK(document.text == again.documents.at(key).text);
  }
}

TEST_CASE("A List, and JSON, are read too") {
  const std::string item = R"({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
    "metadata": {"name": "a", "namespace": "shop"}, "spec": {"podSelector": {}}})";
  CHECK(source::read_policy_documents(item).documents.size() == 1);
  CHECK(source::read_policy_documents(R"({"apiVersion": "v1", "kind": "List", "items": [)" + item + "]}")
            .documents.size() == 1);
  CHECK(source::read_policy_documents("").documents.empty());
}

TEST_CASE("What is no policy, is there twice or can't be read is refused in the manifests' words, with its line") {
  struct Case {
    std::string text, words;
    bool names_it;
  };
  const Case kCases[] = {
      {"kind: Pod\napiVersion: v1\nmetadata: {name: a, namespace: shop}\n",
       "Pod shop/a: expected an AuthorizationPolicy or a NetworkPolicy", false},
      {"kind: Deployment\napiVersion: apps/v1\n", "apps/v1 Deployment: expected an AuthorizationPolicy", false},
      {both() + "---\n" + kIsolate, "NetworkPolicy shop/web-only: expected each object once", true},
      {"a: [", "expected", false},
      {"\n\nkind: AuthorizationPolicy\napiVersion: cortexflow.io/v1alpha1\nmetadata: {name: a, namespace: shop}\n"
       "spec: {rule: []}\n",
       "AuthorizationPolicy shop/a: spec.rule: unknown field", true},
  };
  for (const auto& [text, words, names_it] : kCases) {
    INFO(text);
    const auto read = source::read_policy_documents(text);
    REQUIRE(read.refusals.size() == 1);
    INFO(read.refusals.front().to_string());
    CHECK(read.refusals.front().to_string().find(words) != std::string::npos);
    CHECK(read.refusals.front().line > 0);
    CHECK(read.unread.anything != names_it);
    CHECK(read.unread.objects.size() == (names_it ? 1U : 0U));
  }
}
