// SPDX-License-Identifier: Apache-2.0
#include "identity/webhook/admission.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "agent/source/kubernetes/base64.h"
#include "identity/webhook/admission_review.h"
#include "identity/webhook/ca_bundle.h"
#include "identity/webhook/enrolment.h"
#include "identity/webhook/validation.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

const std::set<std::string> kSystem{"kube-system", "cortexflow"};

json pod(json metadata = json::object(), json spec = json::object()) {
  return {{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
}

json review_of(const json& object, const std::string& operation = "CREATE") {
  const auto version = object.at("apiVersion").get<std::string>();
  const auto slash = version.find('/');
  const bool core = slash == std::string::npos;
  json request{{"uid", "705ab4f5-6393-11e8-b7cc-42010a800002"},
               {"kind",
                {{"group", core ? "" : version.substr(0, slash)},
                 {"version", core ? version : version.substr(slash + 1)},
                 {"kind", object.at("kind")}}},
               {"operation", operation},
               {"namespace", "shop"},
               {"object", object}};
  if (operation == "UPDATE") request["oldObject"] = object;
  return {{"apiVersion", "admission.k8s.io/v1"}, {"kind", "AdmissionReview"}, {"request", std::move(request)}};
}

json response_of(const Result<Admission>& admission) {
  REQUIRE(admission);
  return json::parse(admission->body).at("response");
}

json enrolled(const json& object, const json& review) {
  const auto response = response_of(mutate(review.dump(), kSystem));
  CHECK(response.at("allowed") == true);
  CHECK(response.at("uid") == review.at("request").at("uid"));
  if (!response.contains("patch")) return object;
  CHECK(response.at("patchType") == "JSONPatch");
  return object.patch(json::parse(source::from_base64(response.at("patch").get<std::string>()).value()));
}

json of_deployment(json labels) {
  return {{"generateName", "cart-7d9f-"},
          {"labels", std::move(labels)},
          {"ownerReferences",
           json::array(
               {{{"apiVersion", "apps/v1"}, {"kind", "ReplicaSet"}, {"name", "cart-7d9f"}, {"controller", true}}})}};
}

json policy(const std::string& block) {
  return {{"apiVersion", "cortexflow.io/v1alpha1"},
          {"kind", "AuthorizationPolicy"},
          {"metadata", {{"name", "db"}, {"namespace", "shop"}}},
          {"spec", {{"rules", {{{"from", {{{"source", {{"ipBlocks", {block}}}}}}}}}}}}};
}

std::vector<std::string> warnings(const json& review) {
  const auto response = response_of(validate(review.dump()));
  CHECK(response.at("allowed") == true);
  return response.value("warnings", std::vector<std::string>{});
}

}  // namespace

TEST_CASE("a pod that is made gets the labels of its enrolment, and keeps all that it has") {
  struct Row {
    const char* sentence;
    json metadata;
    json labels;  // afterwards
  };
  const json enabled{{"cortexflow.io/mesh", "enabled"}};
  const std::vector<Row> rows{
      {"one without labels", {{"name", "a"}}, enabled},
      {"one whose labels are null", {{"name", "a"}, {"labels", nullptr}}, enabled},
      {"one of a Deployment bears its name",
       of_deployment({{"pod-template-hash", "7d9f"}}),
       {{"pod-template-hash", "7d9f"}, {"cortexflow.io/mesh", "enabled"}, {"cortexflow.io/workload", "cart"}}},
      {"one of a ReplicaSet of nobody's bears the ReplicaSet's",
       of_deployment(json::object()),
       {{"cortexflow.io/mesh", "enabled"}, {"cortexflow.io/workload", "cart-7d9f"}}},
      {"what it says of its workload stays",
       of_deployment({{"pod-template-hash", "7d9f"}, {"cortexflow.io/workload", "mine"}}),
       {{"pod-template-hash", "7d9f"}, {"cortexflow.io/mesh", "enabled"}, {"cortexflow.io/workload", "mine"}}},
      {"one that asks for it by annotation",
       {{"name", "a"}, {"annotations", {{"cortexflow.io/mesh", "enabled"}}}},
       enabled},
      {"one that has all of it", {{"name", "a"}, {"labels", enabled}}, enabled},
      {"one whose owner's name is no label's value",
       {{"ownerReferences", {{{"kind", "Job"}, {"name", std::string(64, 'j')}, {"controller", true}}}}},
       enabled},
      {"one whose weight is none", {{"name", "a"}, {"annotations", {{"cortexflow.io/weight", "much"}}}}, enabled},
  };
  for (const auto& row : rows) {
    INFO(row.sentence);
    const auto object = pod(row.metadata);
    auto after = enrolled(object, review_of(object));
    CHECK(after.at("metadata").at("labels") == row.labels);
    after["metadata"].erase("labels");
    auto before = object;
    before["metadata"].erase("labels");
    CHECK(after == before);
  }
}

TEST_CASE("a pod that opts out, or is of the cluster, stays as it is") {
  struct Row {
    const char* outcome;
    json object;
    json other = json::object();  // of the request
  };
  const json disabled{{"cortexflow.io/mesh", "disabled"}};
  const std::vector<Row> rows{
      {"opted_out", pod({{"labels", disabled}})},
      {"opted_out", pod({{"annotations", disabled}})},
      {"opted_out", pod({{"labels", {{"cortexflow.io/mesh", "enabled"}}}, {"annotations", disabled}})},
      {"unclear", pod({{"labels", {{"cortexflow.io/mesh", "false"}}}})},
      {"unclear", pod({{"annotations", {{"cortexflow.io/mesh", 5}}}})},
      {"system", pod(), {{"namespace", "kube-system"}}},
      {"system", pod(), {{"namespace", "cortexflow"}}},
      {"host_network", pod({}, {{"hostNetwork", true}})},
      {"mirror", pod({{"annotations", {{"kubernetes.io/config.mirror", "0123"}}}})},
      {"complete", pod({{"labels", {{"cortexflow.io/mesh", "enabled"}}}})},
      {"not_a_pod", pod({{"labels", json::array({1})}})},
      {"not_a_pod", pod(), {{"subResource", "eviction"}}},
      {"not_a_pod", {{"apiVersion", "v1"}, {"kind", "Service"}}},
      {"not_a_pod", {{"apiVersion", "apps/v1"}, {"kind", "Pod"}}},
      {"not_created", pod(), {{"operation", "UPDATE"}, {"oldObject", pod()}}},
      {"not_created", pod(), {{"operation", "DELETE"}}},
  };
  for (const auto& row : rows) {
    auto review = review_of(row.object);
    review["request"].update(row.other);
    INFO(review.dump());
    const auto admission = mutate(review.dump(), kSystem);
    CHECK_FALSE(response_of(admission).contains("patch"));
    CHECK(response_of(admission).at("allowed") == true);
    CHECK(admission->outcome == row.outcome);
  }
}

TEST_CASE("an object of ours is refused where agents refuse it, in their words, and otherwise admitted") {
  const auto refused = response_of(validate(review_of(policy("198.51.100.0/99")).dump()));
  CHECK(refused.at("allowed") == false);
  CHECK(refused.at("status").at("message") ==
        "AuthorizationPolicy shop/db: spec.rules[0].from[0].source.ipBlocks[0]: expected ADDRESS/LENGTH, found "
        "\"198.51.100.0/99\"");
  CHECK(response_of(validate(review_of(policy("198.51.100.0/24")).dump())).at("allowed") == true);

  const auto change = [](const json& before, const json& after) {
    auto review = review_of(after, "UPDATE");
    review["request"]["oldObject"] = before;
    return review;
  };
  const auto allowed = [](const json& review) { return response_of(validate(review.dump())).at("allowed") == true; };
  const auto bad = policy("198.51.100.0/99");
  auto annotated = bad;
  annotated["metadata"]["annotations"] = {{"a", "b"}};
  annotated["status"] = {{"conditions", json::array()}};
  auto ending = policy("x");
  ending["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z";
  CHECK_FALSE(allowed(change(policy("198.51.100.0/24"), bad)));
  CHECK(allowed(change(bad, policy("198.51.100.0/24"))));
  CHECK(allowed(change(bad, annotated)));  // it came while nobody was asked
  CHECK(allowed(change(bad, ending)));
  auto status = review_of(bad, "UPDATE");
  status["request"]["subResource"] = "status";
  CHECK(allowed(status));
  auto gone = review_of(bad, "DELETE");
  gone["request"].erase("object");
  CHECK(allowed(gone));
  CHECK(allowed(review_of({{"apiVersion", "example.org/v1"}, {"kind", "AuthorizationPolicy"}})));
}

TEST_CASE("another version of a kind of ours is refused, and a kind that agents don't know is warned of") {
  auto later = policy("198.51.100.0/24");
  later["apiVersion"] = "cortexflow.io/v1";
  CHECK(response_of(validate(review_of(later).dump()))
            .at("status")
            .at("message")
            .get<std::string>()
            .find("expected cortexflow.io/v1alpha1") != std::string::npos);
  const json unknown{{"apiVersion", "cortexflow.io/v1alpha1"}, {"kind", "Sidecar"}};
  CHECK(warnings(review_of(unknown)) ==
        std::vector<std::string>{"agents of this version do not read cortexflow.io/v1alpha1 Sidecar"});
}

TEST_CASE("annotations of ours on a pod that nobody reads or that agents refuse are warned of") {
  const auto of = [](const json& metadata) { return warnings(review_of(pod(metadata), "UPDATE")); };
  CHECK(of({{"name", "a"}, {"annotations", {{"cortexflow.io/weight", "5"}, {"example.org/x", "y"}}}}).empty());
  CHECK(of({{"generateName", "a-"}}).empty());
  CHECK(
      of({{"annotations", {{"cortexflow.io/wieght", "5"}}}}) ==
      std::vector<std::string>{"metadata.annotations: nobody reads cortexflow.io/wieght; known are cortexflow.io/mesh, "
                               "cortexflow.io/weight"});
  CHECK(of({{"annotations", {{"cortexflow.io/cgroup", "kubepods.slice"}}}})
            .at(0)
            .starts_with("metadata.annotations: nobody reads cortexflow.io/cgroup"));
  CHECK(of({{"labels", {{"cortexflow.io/team", "a"}}}}) ==
        std::vector<std::string>{
            "metadata.labels: nobody reads cortexflow.io/team; known are cortexflow.io/mesh, cortexflow.io/workload"});
  CHECK(of({{"annotations", {{"cortexflow.io/weight", "1001"}}}}) ==
        std::vector<std::string>{
            "metadata.annotations.cortexflow.io/weight: expected a number from 0 to 1000, in quotes; "
            "it counts as 1"});
  CHECK(of({{"labels", {{"cortexflow.io/mesh", "on"}}}}) ==
        std::vector<std::string>{"cortexflow.io/mesh: expected enabled or disabled; the pod is not enrolled"});
  json many;
  for (int i = 0; i < 40; ++i) many[fmt::format("cortexflow.io/{}{}", std::string(300, 'x'), i)] = "1";
  const auto told = of({{"annotations", many}});
  CHECK(told.size() == 15);
  CHECK(told.front().size() == 256);
}

TEST_CASE("an answer is of the version that was asked, with the uid that was asked") {
  for (const char* version : {"admission.k8s.io/v1", "admission.k8s.io/v1beta1"}) {
    auto review = review_of(pod());
    review["apiVersion"] = version;
    review["request"]["uid"] = "\"\u00e4\"";
    const auto answer = json::parse(validate(review.dump())->body);
    CHECK(answer.at("apiVersion") == version);
    CHECK(answer.at("kind") == "AdmissionReview");
    CHECK(answer.at("response").at("uid") == "\"\u00e4\"");
  }
}

TEST_CASE("a malformed review is refused with what is wrong with it") {
  struct Row {
    const char* words;
    std::function<void(json&)> change;
  };
  const std::vector<Row> rows{
      {"kind: expected AdmissionReview, found nothing", [](json& r) { r.erase("kind"); }},
      {"kind: expected AdmissionReview, found \"Pod\"", [](json& r) { r["kind"] = "Pod"; }},
      {"apiVersion: expected admission.k8s.io/v1 or admission.k8s.io/v1beta1, found \"v1\"",
       [](json& r) { r["apiVersion"] = "v1"; }},
      {"request: expected what is asked, found nothing", [](json& r) { r.erase("request"); }},
      {"request: expected what is asked, found array", [](json& r) { r["request"] = json::array(); }},
      {"request.uid: expected a text, found nothing", [](json& r) { r["request"].erase("uid"); }},
      {"request.uid: expected a text, found number", [](json& r) { r["request"]["uid"] = 7; }},
      {"request.uid: expected a text of 1 to 1024 octets", [](json& r) { r["request"]["uid"] = ""; }},
      {"request.uid: expected a text of 1 to 1024 octets",
       [](json& r) { r["request"]["uid"] = std::string(1025, 'u'); }},
      {"request.kind: expected group, version and kind", [](json& r) { r["request"]["kind"] = "Pod"; }},
      {"request.kind.kind: expected a text", [](json& r) { r["request"]["kind"].erase("kind"); }},
      {"request.kind.version: expected a text", [](json& r) { r["request"]["kind"]["version"] = true; }},
      {"request.kind.group: expected a text", [](json& r) { r["request"]["kind"]["group"] = json::object(); }},
      {"request.namespace: expected a text", [](json& r) { r["request"]["namespace"] = 1.5; }},
      {"request.operation: expected CREATE, UPDATE, DELETE or CONNECT, found \"create\"",
       [](json& r) { r["request"]["operation"] = "create"; }},
      {"request.operation: expected", [](json& r) { r["request"].erase("operation"); }},
      {"request.object: expected the object, found nothing", [](json& r) { r["request"].erase("object"); }},
      {"request.object: expected the object, found nothing", [](json& r) { r["request"]["object"] = nullptr; }},
      {"request.oldObject: expected the object", [](json& r) { r["request"]["operation"] = "UPDATE"; }},
  };
  for (const auto& row : rows) {
    INFO(row.words);
    auto review = review_of(pod());
    row.change(review);
    const auto admission = mutate(review.dump(), kSystem);
    REQUIRE_FALSE(admission);
    CHECK(admission.error().message.find(row.words) != std::string::npos);
    CHECK_FALSE(validate(review.dump()));
  }
  for (const std::string body : {"", "null", "7", "[]", "{", "\xff", "{\"kind\":\"\xc3\"}"}) {
    INFO(body);
    CHECK_FALSE(validate(body));
  }
  CHECK_FALSE(validate(std::string(100, '[') + std::string(100, ']')));
  CHECK_FALSE(validate("[" + std::string(2 * kReviewValuesMax, ',') + "]"));
}

TEST_CASE("webhooks that lack the roots are given them, and no others") {
  const auto with = [](const char* name, const char* bundle) {
    json client{{"url", "https://x"}};
    if (bundle != nullptr) client["caBundle"] = bundle;
    return json{{"name", name}, {"clientConfig", std::move(client)}};
  };
  const auto bundle = source::to_base64("roots");
  CHECK(ca_bundle_patch({{"webhooks", {with("a", bundle.c_str())}}}, "roots").is_null());
  CHECK(ca_bundle_patch({{"webhooks", {with("a", bundle.c_str()), with("b", nullptr), with("c", "b2xk")}}}, "roots") ==
        json{{"webhooks",
              {{{"name", "b"}, {"clientConfig", {{"caBundle", bundle}}}},
               {{"name", "c"}, {"clientConfig", {{"caBundle", bundle}}}}}}});
  CHECK(ca_bundle_patch(json::object(), "roots").is_null());
  CHECK(ca_bundle_patch({{"webhooks", {1, {{"name", "a"}, {"clientConfig", 5}}}}}, "roots").at("webhooks").size() == 1);
}

}  // namespace cortexflow::identity
