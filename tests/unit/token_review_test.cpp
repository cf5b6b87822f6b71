// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/token_review.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace cortexflow::source {
namespace {

std::string answer(const nlohmann::json& status) {
  return nlohmann::json{{"kind", "TokenReview"}, {"apiVersion", "authentication.k8s.io/v1"}, {"status", status}}.dump();
}

TokenResult result_of(const std::string& body) { return read_token_review(body, "cortexflow").result; }

}  // namespace

TEST_CASE("a TokenReview's answer is taken for a service account and our audience alone") {
  const auto of_user = [](const std::string& name) {
    return answer({{"authenticated", true}, {"user", {{"username", name}}}, {"audiences", {"other", "cortexflow"}}});
  };
  const auto cart = read_token_review(of_user("system:serviceaccount:shop:cart.v2"), "cortexflow");
  CHECK(cart.result == TokenResult::kAuthenticated);
  CHECK(cart.account_namespace == "shop");
  CHECK(cart.account == "cart.v2");
  CHECK(read_token_review(of_user("system:serviceaccount:shop:cart"), "vault").result == TokenResult::kWrongAudience);
  CHECK(result_of(of_user("admin")) == TokenResult::kNoServiceAccount);
  CHECK(result_of(of_user("")) == TokenResult::kNoServiceAccount);
  for (const std::string name : {"shop", "shop:", ":cart", "shop:cart:x", "shop:../x", "shop:.", "a.b:cart",
                                 "Shop:cart", "shop:cart/x", "shop: cart"}) {
    INFO(name);
    CHECK(result_of(of_user("system:serviceaccount:" + name)) == TokenResult::kNotUnderstood);
  }
}

TEST_CASE("a TokenReview's answer that is no clear yes is a no") {
  CHECK(result_of(answer({{"authenticated", false}, {"error", "expired"}})) == TokenResult::kRefused);
  CHECK(read_token_review(answer({{"error", "has expired"}}), "cortexflow").why == "has expired");
  CHECK(result_of(answer({{"authenticated", "true"}})) == TokenResult::kRefused);
  CHECK(result_of(answer({{"authenticated", true}})) == TokenResult::kWrongAudience);
  CHECK(result_of(answer({{"authenticated", true}, {"audiences", "cortexflow"}})) == TokenResult::kWrongAudience);
  CHECK(result_of(answer({{"authenticated", true}, {"audiences", {"cortexflow"}}, {"user", 5}})) ==
        TokenResult::kNoServiceAccount);
  for (const std::string body : {"", "x", "[]", "{}", R"({"kind":"TokenReview"})",
                                 R"({"kind":"TokenReview","apiVersion":"v1","status":{"authenticated":true}})"}) {
    CHECK(result_of(body) == TokenResult::kNotUnderstood);
  }
  CHECK(read_token_review(answer({{"error", std::string(5000, 'x')}}), "cortexflow").why.size() < 1000);
}

TEST_CASE("a TokenReview asks about the token for one audience, whatever octets it has") {
  const auto asked = nlohmann::json::parse(token_review_request("a\xff\"b", "cortexflow"));
  CHECK(asked["spec"]["audiences"] == nlohmann::json{"cortexflow"});
  CHECK(asked["spec"]["token"].get<std::string>().starts_with("a"));
}

}  // namespace cortexflow::source
