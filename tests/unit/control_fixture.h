// SPDX-License-Identifier: Apache-2.0
// A control API that serves what a test gives it.
#pragma once

#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "agent/control/server.h"
#include "tests/unit/control_lookups.h"

namespace cortexflow::test {

using namespace control;
using model::DnsLookup;
using model::DnsOutcome;
using nlohmann::ordered_json;

// A log of what it was given; never waits long.
template <typename Record>
class FakeLog : public RecordView<Record> {
 public:
  explicit FakeLog(const std::atomic<bool>& drains) : drains_(drains) {}

  std::uint64_t cursor_since(std::chrono::system_clock::time_point since) const override {
    const std::lock_guard lock(mutex_);
    return since > std::chrono::system_clock::now() ? records_.size() : first_;
  }
  RecordBatch<Record> read(std::uint64_t cursor, std::size_t max, std::chrono::milliseconds wait) const override {
    auto batch = read_now(cursor, max);
    if (batch.records.empty() && !drains_) std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(wait, 20ms));
    return batch;
  }

  void add(const Record& record) {
    const std::lock_guard lock(mutex_);
    records_.push_back(std::make_shared<Record>(record));
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    records_.clear();
  }
  void overwrite_before(std::uint64_t first) {
    const std::lock_guard lock(mutex_);
    first_ = first;
  }

 private:
  RecordBatch<Record> read_now(std::uint64_t cursor, std::size_t max) const {
    const std::lock_guard lock(mutex_);
    RecordBatch<Record> batch;
    batch.next = std::clamp<std::uint64_t>(cursor, first_, records_.size());
    batch.lost = batch.next - std::min(cursor, batch.next);
    for (; batch.next < records_.size() && batch.records.size() < max; ++batch.next) {
      batch.records.push_back(records_[batch.next]);
    }
    return batch;
  }

  const std::atomic<bool>& drains_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Record>> records_;
  std::uint64_t first_ = 0;  // those before it are overwritten
};

class FakeNode : public control::NodeView, public control::ServiceOperator, public control::DenyOperator {
 public:
  Status status() const override {
    Status s;
    s.version = "1.2.3";
    s.node = "n1";
    s.dns_ports = {53};
    s.configuration = Configuration{7, {}, std::chrono::milliseconds(3), std::chrono::seconds(12)};
    s.functions.push_back({"dns packets", "cgroup_skb", false, ""});
    s.maps.push_back({"dns_pending", 1, 2});
    s.lost["ring_full"] = 1;
    s.flows = FlowRecords{3, 2, {{"ring_full", 1}}};
    s.parse_errors["short"] = 1;
    return s;
  }
  std::vector<BpfProgram> bpf_programs() const override { return std::vector<BpfProgram>(1); }
  std::vector<WorkloadRow> workloads() const override { return std::vector<WorkloadRow>(1); }
  std::vector<DropRow> drops() const override { return {{"policy in", "not_allowed", 3}, {"edge", "denied", 0}}; }
  Result<std::vector<VethRow>> veths() const override {
    VethRow row;
    row.name = "veth1";
    row.up = true;
    row.peer = "cni-1";
    row.pods = {"shop/web"};
    row.programs = {"redirect_ingress"};
    return std::vector{row};
  }
  std::vector<ServiceRow> services() const override {
    ServiceRow row;
    row.ns = "shop";
    row.name = "cart";
    row.protocol = "TCP";
    row.addresses = {"10.96.0.11:80"};
    row.versions = {"canary"};
    row.problems = {"no backend is ready: connecting is refused"};
    row.subsets.push_back({"canary", 10, 10, false, 0.5});
    BackendRow backend;
    backend.address = "10.0.0.1:8080";
    backend.state = "healthy";
    backend.reason = "status 200";
    backend.since = std::chrono::system_clock::now();
    row.backends.push_back(backend);
    return {row};
  }
  std::vector<std::string> service_refusals() const override { return {"shop.yaml:3: a sentence"}; }
  Done set_weights(const std::string& service,
                   const std::vector<std::pair<std::string, std::uint32_t>>& weights) override {
    std::string words;
    for (const auto& [target, weight] : weights) words += fmt::format(" {}={}", target, weight);
    return note("set_weights " + service + words, service);
  }
  Done reset_weights(const std::string& service) override { return note("reset_weights " + service, service); }
  Done set_drained(const std::string& service, const std::string& backend, bool drained) override {
    return note(fmt::format("set_drained {} {} {}", service, backend, drained), service);
  }
  Answer<std::vector<SimulatedPort>> simulate(const SimulationQuery& query) const override {
    if (query.service != "shop/cart") return tl::make_unexpected(Refused{404, {"there is no such service", ""}});
    SimulatedPort port;
    port.backends.push_back({"10.0.0.1:8080", "cart-1", static_cast<double>(query.callers)});
    return std::vector{port};
  }
  Answer<Explanation> explain(const std::string& caller, const std::string& target) const override {
    if (target.find(':') == std::string::npos) return tl::make_unexpected(Refused{400, {"expected a port", ""}});
    Explanation out;
    out.caller = caller;
    out.target = target;
    out.steps.push_back({"hook", "sees it", ""});
    ExplainedPath path;
    path.verdict = "translated";
    path.steps.push_back({"service", "service 1", "svc_frontends"});
    path.backends.push_back({"10.0.0.1:8080", "cart-1", 1.0, 0, 0.002, "ready"});
    path.differences.emplace_back("slots: the kernel has 1, the agent means 2");
    out.paths.push_back(path);
    return out;
  }
  Answer<DenyView> deny_list() const override {
    return DenyView{
        {{"198.51.100.0/24", {80}, "In", "Enforce", std::nullopt, "operator"}}, "xdp e0 (native)", "", 1, 2};
  }
  Done deny(const std::string& entry) override {
    const std::lock_guard lock(mutex_);
    said_ = entry;
    return {};
  }
  Done allow(const std::string& cidr) override {
    const std::lock_guard lock(mutex_);
    said_ = cidr;
    return {};
  }
  // What the deny list was given last.
  std::string said() const {
    const std::lock_guard lock(mutex_);
    return said_;
  }
  std::vector<std::string> log_lines(std::size_t max) const override {
    return std::vector<std::string>(std::min<std::size_t>(max, 3), "line\n");
  }
  const RecordView<model::DnsLookup>& lookups() const override { return lookups_; }
  const RecordView<model::Flow>& flows() const override { return flows_; }
  Result<std::vector<model::Flow>> open_flows(std::size_t limit) const override {
    model::Flow flow;
    flow.outcome = model::FlowOutcome::kOpen;
    return std::vector<model::Flow>(std::min<std::size_t>(limit, 2), flow);
  }
  bool draining() const override { return drains; }

  void add(const DnsLookup& lookup) { lookups_.add(lookup); }
  void add(const model::Flow& flow) { flows_.add(flow); }
  void clear() { lookups_.clear(); }
  void overwrite_before(std::uint64_t first) { lookups_.overwrite_before(first); }

  std::atomic<bool> drains{false};
  // What operators did.
  std::vector<std::string> done() const {
    const std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  Done note(std::string what, const std::string& service) {
    if (service != "shop/cart") return tl::make_unexpected(Refused{404, {"there is no service " + service, "look"}});
    const std::lock_guard lock(mutex_);
    done_.push_back(std::move(what));
    return {};
  }
  mutable std::mutex mutex_;
  FakeLog<model::DnsLookup> lookups_{drains};
  FakeLog<model::Flow> flows_{drains};
  std::string said_;
  std::vector<std::string> done_;
};

class Directory {
 public:
  Directory() { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string socket() const { return path_ + "/agent.sock"; }

 private:
  std::string path_ = "/tmp/control-test-XXXXXX";
};

inline httplib::Client client_of(const std::string& socket) {
  httplib::Client client(socket, 80);
  client.set_address_family(AF_UNIX);
  return client;
}

inline httplib::Result get(const std::string& socket, const std::string& path) { return client_of(socket).Get(path); }

// But for progress, which comes by the clock.
inline std::vector<ordered_json> lines_of(const std::string& body) {
  std::vector<ordered_json> lines;
  std::istringstream in(body);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    auto json = ordered_json::parse(line);
    if (!json.contains("progress")) lines.push_back(std::move(json));
  }
  return lines;
}

// A server that is up; stopped as the agent does it, draining first.
struct FakePolicies : control::PolicyOperator {
  control::PolicyList policies() const override {
    return {
        {{"AuthorizationPolicy", "shop/allow-web", "in", "ALLOW", "enforce", 1, 2, 3, "operator"}}, "cgroup_skb", ""};
  }
  Answer<PolicyCheck> check(const PolicyQuery&) const override {
    return PolicyCheck{{{"out", "unselected", false, {}, "", {}},
                        {"in", "allowed", false, {"shop/allow-web[0]"}, "", {"shop/allow-web"}}},
                       "shop/web",
                       "shop/cart"};
  }
  control::IdentityList identities() const override {
    return {
        {{16, "workload", "shop/web app=web", "spiffe://x/ns/shop/sa/web", {{"app", "web"}}, {"shop/web-0"}, {}, {}}},
        {{"policy_rules", 1, 2}}};
  }
  Answer<control::PolicySimulation> simulate_policies(const std::string&, const control::Flows& flows) const override {
    control::PolicySimulation out;
    for (const char* change : {"newly_refused", "newly_allowed", "unchanged", "unknown"}) out.totals[change];
    out.totals["newly_refused"] = {1, flows.size()};
    const control::PolicySideCheck side{"in", "denied", true, {"shop/no-web[0]"}, "", {"shop/no-web"}};
    out.pairs.push_back({"shop/web", "shop/cart", 8080, "newly_refused", flows.size(), side, side});
    return out;
  }
  Answer<control::PolicyChanges> apply_policies(const std::string& documents, bool dry_run) override {
    if (documents.empty()) return tl::make_unexpected(control::Refused{400, {"there is no policy in it", ""}});
    return control::PolicyChanges{{{"AuthorizationPolicy", "shop/allow-web", "created"}}, dry_run, "", {}};
  }
  Answer<control::PolicyChanges> delete_policy(const std::string& kind, const std::string& name) override {
    if (name != "shop/allow-web") return tl::make_unexpected(control::Refused{404, {"there is no " + name, ""}});
    return control::PolicyChanges{
        {{kind.empty() ? "AuthorizationPolicy" : kind, name, "deleted"}}, false, "", {"a remark"}};
  }
};

struct Serving {
  Serving() {
    for (const auto& lookup : {answered(), timed_out(), with_rcode(kNxDomain)}) node.add(lookup);
    node.add(model::Flow{});
    REQUIRE(server.start());
    for (int i = 0; i < 500 && !get(directory.socket(), "/v1/version"); ++i) std::this_thread::sleep_for(2ms);
  }
  ~Serving() {
    node.drains = true;
    server.stop();
  }

  Directory directory;
  FakeNode node;
  FakePolicies policies;
  Server server{node, node, directory.socket(), "no-such-group", &node, &policies};
};

}  // namespace cortexflow::test
