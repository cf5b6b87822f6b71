// SPDX-License-Identifier: Apache-2.0
// Deny lists: from a document or the API's text to the entries that the kernel finds.
#include <bit>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>

#include "agent/base/replace_file.h"
#include "agent/compile/deny_plan.h"
#include "agent/source/deny_list_text.h"
#include "agent/source/manifest/document_reader.h"
#include "tests/unit/control_fixture.h"

using namespace cortexflow;
using std::chrono::system_clock;

namespace {

const std::string kHead =
    "apiVersion: cortexflow.io/v1alpha1\nkind: DenyList\nmetadata: {name: them}\nspec:\n  entries:\n";

std::string deny_refusal(const std::string& entry) {
  const auto read = source::read_document(kHead + "  - " + entry + "\n");
  if (read.refused.empty()) return "";
  const auto& problem = read.refused.front().problem;
  return fmt::format("{} {}: {}", problem.line, problem.field, problem.reason);
}

model::DenyEntry entry_of(const std::string& json) {
  auto parsed = source::parse_deny_entry(json);
  INFO(json);
  REQUIRE(parsed);
  return std::move(*parsed);
}

cf_edge_deny value_for(const std::map<std::string, std::string>& entries, std::size_t index) {
  cf_edge_deny value{};
  std::memcpy(&value, std::next(entries.begin(), static_cast<std::ptrdiff_t>(index))->second.data(), sizeof value);
  return value;
}

}  // namespace

TEST_CASE("a DenyList's entries say prefix, ports, direction, mode and expiry; what is left out has its default") {
  const auto read = source::read_document(kHead + R"(  - cidr: 198.51.100.0/24
  - {cidr: "2001:db8::1", ports: [443, 80, 80], direction: Both, mode: Audit, expires: 2030-01-01T00:00:00Z}
)");
  REQUIRE(read.refused.empty());
  const auto& list = *std::get<std::shared_ptr<const model::DenyList>>(read.objects.at(0).object);
  CHECK(list.name == model::ObjectName{"", "them"});
  REQUIRE(list.entries.size() == 2);
  const auto &first = list.entries[0], &second = list.entries[1];
  CHECK(first.cidr() == "198.51.100.0/24");
  CHECK((first.ports.empty() && first.in && !first.out && !first.audit && !first.expires));
  CHECK(second.cidr() == "2001:db8::1/128");
  CHECK(second.ports == std::vector<std::uint16_t>{80, 443});
  CHECK((second.in && second.out && second.audit));
  CHECK(second.expires == system_clock::time_point(std::chrono::sys_days(std::chrono::year{2030} / 1 / 1)));
}

TEST_CASE("what a DenyList can't mean is refused with its line and field") {
  CHECK(deny_refusal("cidr: 198.51.100.7") == "");
  CHECK_THAT(deny_refusal("cidr: 198.51.100.7/24"),
             Catch::StartsWith("6 spec.entries[0].cidr: expected an address with zeros"));
  CHECK_THAT(deny_refusal("cidr: 198.51.100.0/33"),
             Catch::StartsWith("6 spec.entries[0].cidr: expected ADDRESS/LENGTH"));
  CHECK_THAT(deny_refusal("cidr: \"::ffff:192.0.2.1\""), Catch::StartsWith("6 spec.entries[0].cidr: "));
  CHECK_THAT(deny_refusal("cidr: everybody"), Catch::StartsWith("6 spec.entries[0].cidr: "));
  CHECK_THAT(deny_refusal("ports: [80]"), Catch::StartsWith("6 spec.entries[0].cidr: "));
  CHECK_THAT(deny_refusal("{cidr: 192.0.2.1, ports: [0]}"), Catch::StartsWith("6 spec.entries[0].ports[0]: "));
  CHECK_THAT(deny_refusal("{cidr: 192.0.2.1, direction: Ingress}"), Catch::StartsWith("6 spec.entries[0].direction: "));
  CHECK_THAT(deny_refusal("{cidr: 192.0.2.1, expires: tomorrow}"), Catch::StartsWith("6 spec.entries[0].expires: "));
  CHECK_THAT(deny_refusal("{cidr: 192.0.2.1, port: 80}"), Catch::Contains("port"));
}

TEST_CASE("the operator's list comes back from its file as it was; one that is broken is an error") {
  const test::Directory directory;
  const auto path = directory.socket() + ".json";
  CHECK(source::read_deny_list_file(path)->entries.empty());
  model::DenyList list{{"", "operator"}, {}};
  list.entries.push_back(entry_of(R"({"cidr": "198.51.100.0/24"})"));
  list.entries.push_back(entry_of(
      R"({"cidr": "2001:db8::/32", "ports": [80], "direction": "Out", "mode": "Audit", "expires": "2030-01-01T00:00:00.5Z"})"));
  REQUIRE(replace_file(path, source::deny_list_text(list)));
  CHECK(*source::read_deny_list_file(path) == list);
  REQUIRE(replace_file(path, "{"));
  CHECK_FALSE(source::read_deny_list_file(path));
}

TEST_CASE("a file of DenyLists comes back as it was") {
  const test::Directory directory;
  const auto path = directory.socket() + ".json";
  CHECK(source::read_deny_lists_file(path)->empty());
  const model::DenyList one{{"", "one"}, {entry_of(R"({"cidr": "198.51.100.0/24", "mode": "Audit"})")}};
  const model::DenyList two{{"", "two"}, {}};
  REQUIRE(replace_file(path, source::deny_list_text(one) + source::deny_list_text(two)));
  CHECK(*source::read_deny_lists_file(path) == std::vector{one, two});
  REQUIRE(replace_file(path, source::deny_list_text(one) + "{\"kind\": "));
  CHECK_FALSE(source::read_deny_lists_file(path));
}

TEST_CASE("an entry that the API is given can't be more than an entry") {
  for (const char* bad : {"", "[]", "{}", R"({"cidr": "192.0.2.1", "more": 1})", R"({"cidr": 1})",
                          R"({"cidr": "192.0.2.1\"}]}}"})", R"({"cidr": "192.0.2.1", "ports": "80"})"}) {
    INFO(bad);
    CHECK_FALSE(source::parse_deny_entry(bad));
  }
}

TEST_CASE("expired entries are left out, others end by the monotonic clock; the next expiry is known") {
  const auto now = system_clock::time_point(std::chrono::sys_days(std::chrono::year{2029} / 1 / 1));
  const auto mono = std::chrono::hours(5);
  const auto plan =
      compile::plan_deny({entry_of(R"({"cidr": "192.0.2.1", "expires": "2028-12-31T23:59:59Z"})"),
                          entry_of(R"({"cidr": "192.0.2.2", "expires": "2029-01-01T00:00:10Z"})"),
                          entry_of(R"({"cidr": "192.0.2.3", "ports": [80, 443], "expires": "2029-01-02T00:00:00Z"})")},
                         now, now.time_since_epoch() - mono);
  REQUIRE(plan.entries.size() == 3);
  CHECK(plan.next_expiry == now + std::chrono::seconds(10));
  CHECK(plan.refusal.empty());
  const std::uint64_t tenth =
      static_cast<std::uint64_t>(std::chrono::nanoseconds(mono + std::chrono::seconds(10)).count());
  int found = 0;
  for (std::size_t i = 0; i < 3; ++i) found += value_for(plan.entries, i).drop_until_ns[CF_EDGE_IN] == tenth;
  CHECK(found == 1);
}

TEST_CASE("what the kernel's table has no room for is refused, the newest first") {
  std::vector<model::DenyEntry> entries;
  auto one = entry_of(R"({"cidr": "10.0.0.0"})");
  for (std::uint32_t i = 0; i < CF_EDGE_DENY_MAX + 5; ++i) {
    const auto big = std::endian::native == std::endian::little ? __builtin_bswap32(0x0a000000U + i) : 0x0a000000U + i;
    std::memcpy(one.prefix.octets.data() + 12, &big, 4);
    entries.push_back(one);
  }
  const auto plan = compile::plan_deny(entries, {}, {});
  CHECK(plan.entries.size() == CF_EDGE_DENY_MAX);
  CHECK_THAT(plan.refusal, Catch::Contains("the last 5 of 262149"));
}

TEST_CASE("the deny list is read and changed on the socket; a prefix is a prefix and no more") {
  test::Serving serving;
  auto client = test::client_of(serving.directory.socket());
  const auto put = client.Put("/v1/denylist", R"({"cidr": "192.0.2.1"})", "application/json");
  REQUIRE(put);
  CHECK(put->status == 200);
  CHECK(serving.node.said() == R"({"cidr":"192.0.2.1"})");
  CHECK(client.Delete("/v1/denylist?cidr=192.0.2.0/24")->status == 200);
  CHECK(serving.node.said() == "192.0.2.0/24");
  CHECK(client.Delete("/v1/denylist?cidr=%22%7D")->status == 400);
  CHECK(client.Delete("/v1/denylist")->status == 400);
  CHECK(client.Get("/v1/denylist?address=everybody")->status == 400);
  const auto entries = [&](const std::string& address) {
    return test::ordered_json::parse(client.Get("/v1/denylist?address=" + address)->body)["entries"].size();
  };
  CHECK(entries("198.51.100.255") == 1);
  CHECK(entries("198.51.101.0") == 0);
  CHECK(entries("::c633:64ff") == 0);
}
