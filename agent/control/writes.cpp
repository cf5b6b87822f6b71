// SPDX-License-Identifier: Apache-2.0
// What the control API changes: weights and drains of services, the deny list, and the operator's policies.
#include <httplib.h>

#include <set>

#include "agent/control/json.h"
#include "agent/control/response.h"
#include "agent/control/server.h"
#include "agent/http/server.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;

tl::unexpected<Refused> wrong(std::string message) {
  return tl::make_unexpected(Refused{400, {std::move(message), "see GET /v1/openapi.json"}});
}

// The members, all of them and no others.
Done check_members(const ordered_json& body, const std::set<std::string>& wanted) {
  const auto all = fmt::format("{}", fmt::join(wanted, ", "));
  if (!body.is_object()) return wrong(fmt::format("the body is no JSON object; expected {}", all));
  for (const auto& [key, value] : body.items()) {
    if (!wanted.contains(key)) return wrong(fmt::format("unknown member {}; expected {}", key, all));
  }
  for (const auto& key : wanted) {
    if (!body.contains(key)) return wrong(fmt::format("{} is missing; expected {}", key, all));
    if (key != "weights" && !body[key].is_string()) return wrong(fmt::format("{}: expected a string", key));
  }
  return {};
}

}  // namespace

const std::vector<Server::Write>& Server::writes() {
  static const std::vector<Write> kWrites{
      {"PUT", "/v1/lb/weights", {}, &Server::put_weights},
      {"DELETE", "/v1/lb/weights", {{"service"}}, &Server::delete_weights},
      {"PUT", "/v1/lb/drain", {}, &Server::put_drain},
      {"DELETE", "/v1/lb/drain", {{"service", "backend"}}, &Server::delete_drain},
      {"PUT", "/v1/denylist", {}, &Server::put_deny_list},
      {"DELETE", "/v1/denylist", {{"cidr"}}, &Server::delete_deny_list},
      {"PUT", "/v1/policies", {}, &Server::put_policies},
      {"DELETE", "/v1/policies", {{"kind", "name"}}, &Server::delete_policies},
      {"POST", "/v1/policies/simulation", {}, &Server::post_policy_simulation},
  };
  return kWrites;
}

void Server::add_writes() {
  for (const auto& write : writes()) {
    const auto handle = [this, &write](const httplib::Request& request, httplib::Response& response) {
      serve_write(write, request, response);
    };
    if (write.method == "PUT") {
      http_->Put(write.path, handle);
    } else if (write.method == "POST") {
      http_->Post(write.path, handle);
    } else {
      http_->Delete(write.path, handle);
    }
  }
}

void Server::serve_write(const Write& write, const httplib::Request& request, httplib::Response& response) {
  ordered_json body;
  if (write.method != "DELETE") {
    if (!request.get_header_value("Content-Type").starts_with(kJson)) {
      return refuse(response, 415, {"the body is not said to be JSON", "send Content-Type: application/json"});
    }
    body = ordered_json::parse(request.body, nullptr, false);
  } else if (!request.body.empty()) {
    return refuse(response, 400, {write.method + " takes no body", "see GET /v1/openapi.json"});
  }
  const Parameters parameters(request.params.begin(), request.params.end());
  if (auto known = check_names(parameters, write.parameters); !known) return refuse(response, 400, known.error());
  ordered_json now;
  if (auto done = (this->*write.change)(parameters, body, now); !done) {
    return refuse(response, done.error().status, done.error().error);
  }
  answer(response, now);
}

ordered_json Server::service_now(const std::string& service) const {
  auto rows = ordered_json::array();
  for (const auto& row : node_.services()) {
    if (row.ns + "/" + row.name == service) rows.push_back(to_json(row));
  }
  return {{"services", std::move(rows)}};
}

Done Server::put_weights(const Parameters&, const ordered_json& body, ordered_json& now) {
  if (auto checked = check_members(body, {"service", "weights"}); !checked) return checked;
  const auto service = body["service"].get<std::string>();
  const auto& given = body["weights"];
  if (!given.is_object() || given.empty()) return wrong("weights: expected an object of targets and their weights");
  std::vector<std::pair<std::string, std::uint32_t>> weights;
  for (const auto& [target, weight] : given.items()) {
    const auto number = weight.is_number_unsigned() ? weight.get<std::uint64_t>() : UINT64_MAX;
    if (number > UINT32_MAX) return wrong(fmt::format("weights: {}: expected a number", target));
    weights.emplace_back(target, static_cast<std::uint32_t>(number));
  }
  auto done = services_.set_weights(service, weights);
  now = service_now(service);
  return done;
}

Done Server::delete_weights(const Parameters& parameters, const ordered_json&, ordered_json& now) {
  const auto service = needed(parameters, "service");
  if (!service) return wrong(service.error().message);
  auto done = services_.reset_weights(*service);
  now = service_now(*service);
  return done;
}

Done Server::put_drain(const Parameters&, const ordered_json& body, ordered_json& now) {
  if (auto checked = check_members(body, {"service", "backend"}); !checked) return checked;
  const auto service = body["service"].get<std::string>();
  auto done = services_.set_drained(service, body["backend"].get<std::string>(), true);
  now = service_now(service);
  return done;
}

Done Server::delete_drain(const Parameters& parameters, const ordered_json&, ordered_json& now) {
  const auto service = needed(parameters, "service");
  const auto backend = needed(parameters, "backend");
  if (!service || !backend) return wrong((service ? backend : service).error().message);
  auto done = services_.set_drained(*service, *backend, false);
  now = service_now(*service);
  return done;
}

}  // namespace cortexflow::control
