// SPDX-License-Identifier: Apache-2.0
// Service translation in a cgroup of this process's own: plans go in, the kernel's figures come out.
#pragma once

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>

#include "agent/base/octets.h"
#include "agent/compile/service_book.h"
#include "agent/compile/shares.h"
#include "agent/kernel/service_tables.h"
#include "tests/kernel/own_cgroup.h"
#include "tests/kernel/sockets.h"

namespace cortexflow::test {

using compile::ServicePlan;

inline constexpr const char* kService = "10.96.0.1";
inline constexpr const char* kService6 = "fd00:96::1";

class Mesh {
 public:
  Mesh() {
    auto opened = kernel::ServiceTables::open({cgroup_.path(), cgroup_.pins(), false});
    if (!opened) throw std::runtime_error(opened.error().to_string());
    tables_ = std::move(*opened);
    if (auto attached = tables_->attach(); !attached) throw std::runtime_error(attached.error().to_string());
  }

  void set(const ServicePlan& plan) { write(book_.update({{plan.service, {plan}}})); }
  void remove(const ServicePlan& plan) { write(book_.update({{plan.service, {}}})); }

  [[nodiscard]] std::uint64_t counter(cf_svc_counter counter) const { return tables_->counters()[counter]; }

  // Live connections of the service, and of its backends together.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> active() const {
    std::uint64_t service = 0, backends = 0;
    for (const auto& [key, value] : tables_->read("svc_load")) {
      cf_service_load load{};
      std::memcpy(&load, value.data(), sizeof load);
      service += load.active;
    }
    for (const auto& [key, value] : tables_->read("svc_load_be")) {
      cf_backend_load load{};
      std::memcpy(&load, value.data(), sizeof load);
      backends += load.active;
    }
    return {service, backends};
  }

  // Connections that are not established yet, where they are counted.
  [[nodiscard]] std::uint32_t pending() const {
    std::uint32_t sum = 0;
    for (const auto& [key, value] : tables_->read("svc_load")) {
      cf_service_load load{};
      std::memcpy(&load, value.data(), sizeof load);
      sum += load.pending;
    }
    return sum;
  }
  // Of the backend that listens on that port.
  [[nodiscard]] cf_backend_load load(std::uint16_t port) const {
    for (const auto& [key, value] : tables_->read("svc_backends")) {
      cf_backend backend{};
      std::memcpy(&backend, value.data(), sizeof backend);
      if (backend.port != port) continue;
      cf_backend_load load{};
      std::memcpy(&load, tables_->find("svc_load_be", key).value().data(), sizeof load);
      return load;
    }
    FAIL("no backend has port " << port);
    return {};
  }
  [[nodiscard]] const kernel::ServiceTables& tables() const { return *tables_; }

  // As if connects to the backend had taken so long, just now.
  void set_latency(std::uint16_t port, std::uint32_t us) {
    for (const auto& [key, value] : tables_->read("svc_backends")) {
      if (value_of<cf_backend>(value)->port != port) continue;
      auto load = value_of<cf_backend_load>(*tables_->find("svc_load_be", key)).value();
      const auto now = std::chrono::steady_clock::now().time_since_epoch();
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
      load.cost = std::uint64_t{us} << 32U | static_cast<std::uint32_t>(ms);
      REQUIRE(tables_->put("svc_load_be", key, octets_of(load)));
    }
  }
  // As if so many connections to each service were not established yet.
  void set_pending(std::uint32_t count) {
    for (const auto& [key, value] : tables_->read("svc_load")) {
      auto load = value_of<cf_service_load>(value).value();
      load.pending = count;
      REQUIRE(tables_->put("svc_load", key, octets_of(load)));
    }
  }
  // How connections go is not followed from now on, as where the kernel refuses sock_ops.
  void measure_nothing() {
    REQUIRE(tables_->put("svc_watched", octets_of(std::uint32_t{0}), octets_of(std::uint32_t{0})));
  }

  void caller_is(const std::string& version) {
    struct stat info{};
    REQUIRE(stat(cgroup_.path().c_str(), &info) == 0);
    const cf_svc_caller_key key{info.st_ino, CF_SVC_CALLER_CGROUP, 0};
    const cf_svc_caller caller{compile::fnv1a(version), 7};
    REQUIRE(tables_->put("svc_callers", octets(key), octets(caller)));
  }

 private:
  template <typename Value>
  static std::string octets(const Value& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }

  void write(const std::vector<compile::Operation>& operations) {
    for (const auto& operation : operations) {
      const auto* map = compile::map_name(operation.map);
      const auto done =
          operation.erase ? tables_->erase(map, operation.key) : tables_->put(map, operation.key, operation.value);
      REQUIRE(done);
    }
  }

  OwnCgroup cgroup_;
  std::unique_ptr<kernel::ServiceTables> tables_;
  compile::ServiceBook book_;
};

template <typename Backends>
ServicePlan plan_of(const Backends& backends, cf_svc_algorithm algorithm = CF_SVC_ROUND_ROBIN,
                    model::Protocol protocol = model::Protocol::kTcp) {
  ServicePlan plan;
  plan.service = {"shop", "cart"};
  plan.protocol = protocol;
  plan.frontends.emplace_back(ip(kService), 80);
  plan.algorithm = algorithm;
  for (const auto& backend : backends) plan.slots.push_back({ip("127.0.0.1"), backend.port()});
  return plan;
}

}  // namespace cortexflow::test
