// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/api.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "agent/control/parameters.h"
#include "agent/control/response.h"
#include "agent/control/unix_socket.h"
#include "identity/certificates.h"
#include "identity/daemon/documents.h"
#include "identity/daemon/requests.h"

namespace cortexflow::identity {
namespace {

using control::answer;
using nlohmann::ordered_json;

constexpr std::size_t kBodyMax = 1U << 19U;    // a chain to verify, as JSON
constexpr std::chrono::seconds kAnswerMax{1};  // for requests on their way, when it ends
constexpr int kBacklog = 128;

void refuse(httplib::Response& response, const Refusal& refusal) {
  control::refuse(response, refusal.status, refusal.error);
}

Result<control::Parameters> parameters_of(const httplib::Request& request, std::vector<std::string> names) {
  control::Parameters parameters(request.params.begin(), request.params.end());
  if (auto known = control::check_names(parameters, {.own = std::move(names)}); !known) {
    return tl::make_unexpected(std::move(known.error()));
  }
  return parameters;
}

}  // namespace

Api::Api(Issuer& issuer, std::string socket_path, std::string version)
    : issuer_(issuer), socket_path_(std::move(socket_path)), version_(std::move(version)) {}

Api::~Api() { stop(); }

Result<void> Api::start() {
  const control::SocketOwner owner{"control_socket", "cfidentity", "cfidentity"};
  if (auto claimed = control::claim_socket_path(socket_path_, owner); !claimed) return claimed;
  add_routes();
  add_errors();
  http_.set_address_family(AF_UNIX);
  http_.set_payload_max_length(kBodyMax);
  http_.new_task_queue = [] { return new httplib::ThreadPool(PeerServer::kThreads); };
  http_.set_socket_options([this](socket_t socket) { listener_ = socket; });
  const mode_t before = umask(0111);  // everybody may ask; who it is decides what they get
  const bool bound = http_.bind_to_port(socket_path_, 80);
  umask(before);
  if (!bound) return fail_errno(fmt::format("cannot listen on {}", socket_path_), errno, "check control_socket");
  ::listen(listener_, kBacklog);
  connections_.emplace(listener_);
  served_ = std::async(std::launch::async, [this] { http_.listen_after_bind(); });
  // httplib's stop() does nothing before its thread has come to accept.
  using namespace std::chrono_literals;
  for (auto left = 5000ms; !http_.is_running() && left > 0ms; left -= 1ms) std::this_thread::sleep_for(1ms);
  return {};
}

void Api::stop() {
  if (!served_.valid()) return;
  http_.stop();
  for (auto wait = std::chrono::milliseconds(kAnswerMax); served_.wait_for(wait) != std::future_status::ready;) {
    connections_->shut();
    wait = std::chrono::milliseconds(20);
  }
  served_.get();
  std::error_code ignored;
  std::filesystem::remove(socket_path_, ignored);
}

void Api::add_routes() {
  const auto to = [this](void (Api::*serve)(const httplib::Request&, httplib::Response&)) {
    return [this, serve](const httplib::Request& request, httplib::Response& response) {
      (this->*serve)(request, response);
    };
  };
  http_.Post("/v1/certificates", to(&Api::issue));
  http_.Get("/v1/certificates", to(&Api::list));
  http_.Post("/v1/revocations", to(&Api::revoke));
  http_.Post("/v1/verification", to(&Api::verify));
  http_.Get("/v1/bundle", to(&Api::bundle));
  http_.Post("/v1/rotation", to(&Api::rotate));
  http_.Get("/v1/crl", to(&Api::revocation_list));
  http_.Get("/v1/status", to(&Api::status));
}

void Api::add_errors() {
  http_.set_exception_handler([](const auto&, httplib::Response& response, const std::exception_ptr&) {
    control::refuse(response, 500, {"the request failed", "see the log of cfidentity"});
  });
  http_.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    if (response.status == 413) return control::refuse(response, 413, {"the request's body is too large", {}});
    if (response.status == 404) {
      return control::refuse(response, 404, {fmt::format("there is no {} {}", request.method, request.path), {}});
    }
    control::refuse(response, response.status, {"the request was not understood", {}});
  });
}

void Api::issue(const httplib::Request& request, httplib::Response& response) {
  const auto asked = parse_issue(request.body);
  if (!asked) return control::refuse(response, 400, asked.error());
  const auto grant = issuer_.issue(PeerServer::caller(), asked->csr, asked->lifetime);
  if (!grant) return refuse(response, grant.error());
  auto document = json_of(*grant, issuer_.now());
  document["bundle"] = json_of(*issuer_.authorities(), issuer_.policy().trust_domain).at("bundle");
  answer(response, document);
}

void Api::list(const httplib::Request& request, httplib::Response& response) {
  const auto parameters = parameters_of(request, {"spiffe_id", "state"});
  if (!parameters) return control::refuse(response, 400, parameters.error());
  const auto id = control::value_of(*parameters, "spiffe_id");
  const auto state = control::choice_of(*parameters, "state", {"valid", "expired", "revoked", "all"}, "all");
  if (!state) return control::refuse(response, 400, state.error());
  auto rows = ordered_json::array();
  for (const auto& entry : issuer_.entries(PeerServer::caller())) {
    if (id && entry.id != *id) continue;
    auto row = json_of(entry, issuer_.now());
    if (*state == "all" || row.at("state") == *state) rows.push_back(std::move(row));
  }
  answer(response, {{"certificates", std::move(rows)}});
}

void Api::revoke(const httplib::Request& request, httplib::Response& response) {
  const auto asked = parse_revoke(request.body);
  if (!asked) return control::refuse(response, 400, asked.error());
  const auto entry = issuer_.revoke(PeerServer::caller(), asked->serial, asked->reason);
  if (!entry) return refuse(response, entry.error());
  answer(response, {{"certificates", ordered_json::array({json_of(*entry, issuer_.now())})}});
}

void Api::verify(const httplib::Request& request, httplib::Response& response) {
  const auto chain = parse_verify(request.body);
  if (!chain) return control::refuse(response, 400, chain.error());
  answer(response, json_of(issuer_.verify(*chain)));
}

void Api::bundle(const httplib::Request&, httplib::Response& response) {
  answer(response, json_of(*issuer_.authorities(), issuer_.policy().trust_domain));
}

void Api::rotate(const httplib::Request& request, httplib::Response& response) {
  const auto step = parse_rotation(request.body);
  if (!step) return control::refuse(response, 400, step.error());
  const auto& caller = PeerServer::caller();
  if (const auto done = *step == "prepare" ? issuer_.prepare(caller) : issuer_.activate(caller); !done) {
    return refuse(response, done.error());
  }
  bundle(request, response);
}

void Api::revocation_list(const httplib::Request& request, httplib::Response& response) {
  const auto parameters = parameters_of(request, {"issuer", "delta"});
  if (!parameters) return control::refuse(response, 400, parameters.error());
  const auto delta = control::flag_of(*parameters, "delta", false);
  if (!delta) return control::refuse(response, 400, delta.error());
  const auto lists = issuer_.lists(control::value_of(*parameters, "issuer"));
  if (!lists) return refuse(response, lists.error());
  response.set_content(*delta ? lists->delta : lists->complete, "application/pkix-crl");
}

void Api::status(const httplib::Request&, httplib::Response& response) {
  const auto figures = issuer_.figures();
  answer(response, {{"version", version_},
                    {"trust_domain", issuer_.policy().trust_domain},
                    {"issuer", issuer_.authorities()->active().id()},
                    {"certificates", issuer_.ledger().size()},
                    {"certificates_max", issuer_.ledger().capacity()},
                    {"issued", figures.issued},
                    {"revoked", figures.revoked},
                    {"refused", figures.refused}});
}

}  // namespace cortexflow::identity
