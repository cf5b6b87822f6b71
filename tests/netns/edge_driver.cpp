// SPDX-License-Identifier: Apache-2.0
// The edge without the agent, for tests: a line of JSON on standard input is what it shall serve from now on, and is
// answered by a line with the counters.  It ends, and takes the program away, when standard input does.
//
//   {"pins": DIR, "interfaces": [NAME], "native": BOOL, "address4": A, "address6": A,
//    "services": [{"name": N, "protocol": "tcp", "mode": "nat"|"ipip"|"gue", "frontends": [[A, PORT]],
//                  "backends": [{"address": A, "port": P, "local": B, "draining": B}]}],
//    "deny": [{"prefix": A, "length": N}]}
//
// Of a later line, "services" and "deny" alone count.  {} asks for the counters.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "agent/compile/deny_plan.h"
#include "agent/compile/edge_book.h"
#include "agent/kernel/edge_tables.h"

using namespace cortexflow;
using nlohmann::json;

namespace {

model::IpAddress ip(const std::string& text) {
  model::IpAddress out;
  if (inet_pton(AF_INET6, (text.find(':') == std::string::npos ? "::ffff:" + text : text).c_str(), out.octets.data()) !=
      1) {
    throw std::runtime_error("not an address: " + text);
  }
  return out;
}

template <typename Value>
std::string octets(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

void must(const Result<void>& done) {
  if (!done) throw std::runtime_error(done.error().to_string());
}

cf_edge_mode mode_of(const std::string& name) {
  return name == "ipip" ? CF_EDGE_IPIP : name == "gue" ? CF_EDGE_GUE : CF_EDGE_NAT;
}

compile::EdgePlan plan_of(const json& service) {
  compile::EdgePlan plan;
  plan.service = {"test", service.at("name")};
  plan.protocol = service.value("protocol", "tcp") == "udp" ? model::Protocol::kUdp : model::Protocol::kTcp;
  plan.mode = mode_of(service.value("mode", "nat"));
  for (const auto& one : service.at("frontends")) plan.frontends.emplace_back(ip(one[0]), one[1]);
  std::sort(plan.frontends.begin(), plan.frontends.end());
  for (const auto& one : service.at("backends")) {
    plan.backends.push_back(
        {{ip(one.at("address")), one.at("port")}, 1, one.value("local", false), one.value("draining", false)});
  }
  return plan;
}

class Driver {
 public:
  explicit Driver(const json& first) {
    auto opened = kernel::EdgeTables::open({first.at("pins"), false, 16384, 4096, 16384, 4096});
    if (!opened) throw std::runtime_error(opened.error().to_string());
    tables_ = std::move(*opened);
    const auto own4 = ip(first.at("address4")), own6 = ip(first.at("address6"));
    std::copy(own4.octets.begin(), own4.octets.end(), settings_.address4);
    std::copy(own6.octets.begin(), own6.octets.end(), settings_.address6);
    settings_.nat_port_min = 61000;
    settings_.nat_port_max = 65535;
    settings_.gue_port = 6080;
    settings_.mtu = 1500;
    serve(first);
    const auto mode = first.value("native", false) ? kernel::XdpMode::kNative : kernel::XdpMode::kGeneric;
    for (const auto& interface : first.at("interfaces")) {
      const auto attached = tables_->attach(interface, mode);
      if (!attached) throw std::runtime_error(attached.error().to_string());
      for (const auto& remark : attached->remarks) std::cerr << "edge_driver: " << remark << std::endl;
    }
  }

  void serve(const json& wanted) {
    if (wanted.contains("services")) {
      std::map<model::ObjectName, std::vector<compile::EdgePlan>> changed;
      for (const auto& [key, entry] : book_.entries()) changed[key.service];
      for (const auto& service : wanted["services"]) {
        auto plan = plan_of(service);
        changed[plan.service] = {plan};
      }
      for (const auto& one : book_.update(changed)) {
        const auto* map = compile::map_name(one.map);
        must(one.erase ? tables_->erase(map, one.key) : tables_->put(map, one.key, one.value));
      }
    }
    if (wanted.contains("deny")) {
      std::vector<compile::DenyRule> rules;
      for (const auto& one : wanted["deny"]) rules.push_back({ip(one.at("prefix")), one.at("length")});
      for (const auto& [key, value] : denied_) must(tables_->erase("edge_deny", key));
      denied_ = compile::deny_entries(rules);
      for (const auto& [key, value] : denied_) must(tables_->put("edge_deny", key, value));
    }
    settings_.flags = compile::deny_flags(denied_) | (book_.has_local() ? std::uint32_t{CF_EDGE_HAS_LOCAL} : 0U);
    must(tables_->put("edge_settings", octets(std::uint32_t{0}), octets(settings_)));
  }

  [[nodiscard]] json counters() const { return tables_->counters(); }

 private:
  std::unique_ptr<kernel::EdgeTables> tables_;
  compile::EdgeBook book_;
  std::map<std::string, std::string> denied_;
  cf_edge_settings settings_{};
};

}  // namespace

int main() try {
  std::string line;
  std::unique_ptr<Driver> driver;
  while (std::getline(std::cin, line)) {
    const auto wanted = json::parse(line);
    if (driver) {
      driver->serve(wanted);
    } else {
      driver = std::make_unique<Driver>(wanted);
    }
    std::cout << driver->counters().dump() << std::endl;
  }
} catch (const std::exception& error) {
  std::cerr << "edge_driver: " << error.what() << std::endl;
  return 1;
}
