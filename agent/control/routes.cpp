// SPDX-License-Identifier: Apache-2.0
// What each path of the control API takes and answers.
#include <httplib.h>

#include <algorithm>

#include "agent/control/flow_top.h"
#include "agent/control/json.h"
#include "agent/control/lookup_top.h"
#include "agent/control/openapi.h"
#include "agent/control/record_stream.h"
#include "agent/control/response.h"
#include "agent/control/server.h"
#include "agent/http/server.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;
using std::chrono::system_clock;

constexpr std::uint64_t kLogLines = 100;
constexpr std::uint64_t kLogLinesMax = 1000;
constexpr std::uint64_t kOpenFlows = 1000;
constexpr std::uint64_t kCallers = 100;
constexpr std::uint64_t kCallersMax = 100'000;

std::vector<std::string> methods_of(const std::string& path) {
  std::vector<std::string> methods;
  for (const auto& route : Server::routes()) {
    if (route.path == path) methods.insert(methods.end(), {"GET", "HEAD"});
  }
  for (const auto& write : Server::writes()) {
    if (write.path == path) methods.push_back(write.method);
  }
  return methods;
}

template <typename Rows>
ordered_json to_array(const Rows& rows) {
  ordered_json out = ordered_json::array();
  for (const auto& row : rows) out.push_back(to_json(row));
  return out;
}

}  // namespace

const std::vector<Server::Route>& Server::routes() {
  static const std::vector<Route> kRoutes{
      {"/v1/status", {}, &Server::serve_status},
      {"/v1/version", {}, &Server::serve_version},
      {"/v1/bpf", {}, &Server::serve_bpf},
      {"/v1/workloads", {}, &Server::serve_workloads},
      {"/v1/drops", {}, &Server::serve_drops},
      {"/v1/veths", {}, &Server::serve_veths},
      {"/v1/services", {}, &Server::serve_services},
      {"/v1/denylist", {{"address"}}, &Server::serve_deny_list},
      {"/v1/identities", {}, &Server::serve_identities},
      {"/v1/policies", {}, &Server::serve_policies},
      {"/v1/policies/check", {{"from", "to", "port", "protocol"}}, &Server::serve_policy_check},
      {"/v1/lb/simulation", {{"service", "callers", "version", "from"}}, &Server::serve_simulation},
      {"/v1/explain", {{"caller", "target"}}, &Server::serve_explanation},
      {"/v1/logs", {{"lines"}}, &Server::serve_logs},
      {"/v1/dns/lookups", StreamOptions<model::DnsLookup>::parameters(), &Server::serve_lookups},
      {"/v1/flows", StreamOptions<model::Flow>::parameters(), &Server::serve_flows},
      {"/v1/flows/open", {{"limit"}, FlowFilter::fields()}, &Server::serve_open_flows},
      {"/v1/flows/top", TopQuery<FlowRow>::parameters(), &Server::serve_flow_top},
      {"/v1/dns/top", TopQuery<LookupRow>::parameters(), &Server::serve_dns_top},
      {"/v1/openapi.json", {}, &Server::serve_openapi},
  };
  return kRoutes;
}

void Server::add_routes() {
  for (const auto& route : routes()) {
    http_->Get(route.path, [this, &route](const httplib::Request& request, httplib::Response& response) {
      const Parameters parameters(request.params.begin(), request.params.end());
      if (auto known = check_names(parameters, route.parameters); !known) return refuse(response, 400, known.error());
      (this->*route.serve)(parameters, response);
    });
  }
  add_writes();
  // For what no route took.
  http_->set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    const auto methods = methods_of(request.path);
    if (response.status == 413) {
      refuse(response, 413, {"the request's body is too large", "see GET /v1/openapi.json"});
    } else if (!methods.empty() && std::find(methods.begin(), methods.end(), request.method) == methods.end()) {
      const auto allowed = fmt::format("{}", fmt::join(methods, ", "));
      response.set_header("Allow", allowed);
      refuse(response, 405, {fmt::format("{} does not take {}", request.path, request.method), "use " + allowed});
    } else if (response.status == 404) {
      refuse(response, 404, {fmt::format("there is no {}", request.path), "see GET /v1/openapi.json"});
    } else {
      refuse(response, response.status, {"the request was not understood", "see GET /v1/openapi.json"});
    }
  });
}

void Server::serve_status(const Parameters&, httplib::Response& response) { answer(response, to_json(node_.status())); }

void Server::serve_version(const Parameters&, httplib::Response& response) {
  const auto status = node_.status();
  answer(response, {{"version", status.version}, {"node", status.node}, {"kernel", status.kernel}});
}

void Server::serve_bpf(const Parameters&, httplib::Response& response) {
  answer(response, {{"programs", to_array(node_.bpf_programs())}});
}

void Server::serve_workloads(const Parameters&, httplib::Response& response) {
  answer(response, {{"workloads", to_array(node_.workloads())}});
}

void Server::serve_drops(const Parameters&, httplib::Response& response) {
  answer(response, {{"drops", to_array(node_.drops())}});
}

void Server::serve_veths(const Parameters&, httplib::Response& response) {
  const auto veths = node_.veths();
  if (!veths) return refuse(response, 500, veths.error());
  answer(response, {{"veths", to_array(*veths)}});
}

void Server::serve_services(const Parameters&, httplib::Response& response) {
  answer(response, {{"services", to_array(node_.services())}, {"refusals", node_.service_refusals()}});
}

void Server::serve_simulation(const Parameters& parameters, httplib::Response& response) {
  const auto service = needed(parameters, "service");
  if (!service) return refuse(response, 400, service.error());
  const auto callers = count_of(parameters, "callers", kCallersMax, kCallers);
  if (!callers) return refuse(response, 400, callers.error());
  const auto ports = services_.simulate(
      {*service, *callers, value_of(parameters, "version").value_or(""), value_of(parameters, "from").value_or("")});
  if (!ports) return refuse(response, ports.error().status, ports.error().error);
  answer(response, {{"service", *service}, {"callers", *callers}, {"ports", to_array(*ports)}});
}

void Server::serve_explanation(const Parameters& parameters, httplib::Response& response) {
  const auto caller = needed(parameters, "caller");
  const auto target = needed(parameters, "target");
  if (!caller || !target) return refuse(response, 400, (caller ? target : caller).error());
  const auto explanation = services_.explain(*caller, *target);
  if (!explanation) return refuse(response, explanation.error().status, explanation.error().error);
  answer(response, to_json(*explanation));
}

void Server::serve_openapi(const Parameters&, httplib::Response& response) {
  response.set_content(fmt::format("{}", fmt::join(kOpenApi, "\n")), kJson);
}

void Server::serve_logs(const Parameters& parameters, httplib::Response& response) {
  const auto count = count_of(parameters, "lines", kLogLinesMax, kLogLines);
  if (!count) return refuse(response, 400, count.error());
  auto lines = node_.log_lines(*count);
  for (auto& line : lines) line.erase(line.find_last_not_of("\r\n") + 1);
  answer(response, {{"lines", std::move(lines)}});
}

template <typename Row>
void Server::serve_top(const RecordView<typename Row::Record>& view, const Parameters& parameters,
                       httplib::Response& response) {
  const auto query = TopQuery<Row>::parse(parameters, system_clock::now());
  if (!query) return refuse(response, 400, query.error());
  const std::lock_guard one_at_a_time(top_mutex_);  // bounds its memory and its share of the processors
  answer(response, Top<Row>(*query).of(view, system_clock::now()));
}

void Server::serve_dns_top(const Parameters& parameters, httplib::Response& response) {
  serve_top<LookupRow>(node_.lookups(), parameters, response);
}

void Server::serve_flow_top(const Parameters& parameters, httplib::Response& response) {
  serve_top<FlowRow>(node_.flows(), parameters, response);
}

template <typename Record>
void Server::serve_records(const RecordView<Record>& view, const Parameters& parameters, httplib::Response& response) {
  auto options = StreamOptions<Record>::parse(parameters, view, system_clock::now());
  if (!options) return refuse(response, 400, options.error());
  if (!watcher_enters()) {
    return refuse(response, 503, {fmt::format("{} watchers are connected, more are refused", kWatchersMax), "end one"});
  }
  auto stream = std::make_shared<RecordStream<Record>>(node_, view, std::move(*options));
  response.set_chunked_content_provider(
      "application/x-ndjson",
      [stream](std::size_t, httplib::DataSink& sink) {
        const auto lines = stream->next();
        if (!sink.write(lines.data(), lines.size())) return false;
        if (stream->done()) sink.done();
        return true;
      },
      [this](bool) { watcher_leaves(); });
}

void Server::serve_lookups(const Parameters& parameters, httplib::Response& response) {
  serve_records(node_.lookups(), parameters, response);
}

void Server::serve_flows(const Parameters& parameters, httplib::Response& response) {
  serve_records(node_.flows(), parameters, response);
}

void Server::serve_open_flows(const Parameters& parameters, httplib::Response& response) {
  const auto limit = count_of(parameters, "limit", kOpenFlowsMax, kOpenFlows);
  if (!limit) return refuse(response, 400, limit.error());
  const auto filter = FlowFilter::parse(parameters);
  if (!filter) return refuse(response, 400, filter.error());
  const std::lock_guard one_at_a_time(top_mutex_);  // bounds its memory and its share of the processors
  const auto flows = node_.open_flows(kOpenFlowsMax);
  if (!flows) return refuse(response, 503, flows.error());
  ordered_json shown = ordered_json::array();
  std::uint64_t matching = 0;
  for (const auto& flow : *flows) {
    if (filter->matches(flow) && ++matching <= *limit) shown.push_back(to_json(flow));
  }
  answer(response, {{"flows", std::move(shown)}, {"matching", matching}, {"complete", flows->size() < kOpenFlowsMax}});
}

}  // namespace cortexflow::control
