// SPDX-License-Identifier: Apache-2.0
// WorkloadApi's calls: begun, answered, told of changes, ended.
#include <utility>

#include "identity/workload/workload_api.h"

namespace cortexflow::identity {
namespace {

using grpc::Status;

constexpr std::string_view kService = "/SpiffeWorkloadAPI/";

Status status_of(const Refusal& refusal) {
  switch (refusal.status) {
    case 403:
      return Status::kPermissionDenied;
    case 507:
      return Status::kResourceExhausted;
    default:
      return Status::kUnavailable;
  }
}

}  // namespace

void WorkloadApi::count(const std::function<void(WorkloadFigures&)>& change) {
  const std::lock_guard lock(mutex_);
  change(figures_);
}

void WorkloadApi::refuse(Connection& connection, std::int32_t stream, Status status, std::string_view why) {
  connection.session.end(stream, status, why);
  count([status](WorkloadFigures& figures) {
    ++figures.refused[std::string(grpc::status_name(static_cast<std::size_t>(status)))];
  });
}

void WorkloadApi::handle(std::uint64_t id, Connection& connection, const GrpcSession::Event& event) {
  if (event.what == GrpcSession::What::kCalled) return called(id, connection, event);
  const auto found = connection.watches.find(event.stream);
  if (found == connection.watches.end()) return;
  if (event.what == GrpcSession::What::kClosed) return forget({id, event.stream}, connection);
  found->second.sending = false;
  tell(event.stream, connection, found->second);
}

void WorkloadApi::called(std::uint64_t id, Connection& connection, const GrpcSession::Event& event) {
  const auto refused = [&](Status status, std::string_view why) { refuse(connection, event.stream, status, why); };
  if (!event.from_workload) {
    return refused(Status::kInvalidArgument, "the metadata workload.spiffe.io: true is missing");
  }
  const std::string_view path = event.path;
  const auto method = path.starts_with(kService) ? path.substr(kService.size()) : std::string_view();
  if (method != "FetchX509SVID" && method != "FetchX509Bundles") {
    return refused(Status::kUnimplemented, "X.509 alone is served: FetchX509SVID and FetchX509Bundles");
  }
  if (calls_ >= limits_.calls || connection.watches.size() >= limits_.calls_per_connection) {
    return refused(Status::kResourceExhausted, "too many calls stand");
  }
  ++calls_;
  auto& watch = connection.watches[event.stream];
  watch.wants_svids = method == "FetchX509SVID";
  watch.untold = true;
  count([&watch](WorkloadFigures& figures) { ++(watch.wants_svids ? figures.svid_calls : figures.bundle_calls); });
  look({id, event.stream}, connection, watch);
}

void WorkloadApi::look(const Key& key, Connection& connection, Watch& watch) {
  if (watch.asked) {
    watch.again = true;
    return;
  }
  watch.asked = true;
  watch.again = false;
  if (watch.known) {  // the peer may have moved to another cgroup since, or have left its socket to others
    if (auto caller = caller_of(connection.fd.get())) connection.caller = std::move(*caller);
  }
  workers_->add([this, key, caller = connection.caller, wants_svids = watch.wants_svids,
                 standing = watch.standing(issuer_.now()), gone = watch.gone] {
    if (*gone) return;
    auto made =
        std::make_shared<Made>(wants_svids ? make_svids(issuer_, caller, standing) : identities(issuer_, caller));
    post([this, key, made] { finish(key, std::move(*made)); });
  });
}

bool WorkloadApi::is_revoked(const std::string& serial) const {
  const auto entry = issuer_.ledger().find(serial);
  return entry && entry->revoked;
}

void WorkloadApi::finish(const Key& key, Made made) {
  const auto connection = connections_.find(key.connection);
  if (connection == connections_.end()) return;
  const auto found = connection->second.watches.find(key.stream);
  if (found == connection->second.watches.end()) return;
  auto& watch = found->second;
  watch.asked = false;
  if (watch.due) renewals_.erase({*watch.due, key});
  const auto taken = watch.take(std::move(made), issuer_.now());
  count([&taken](WorkloadFigures& figures) {
    figures.renewed += taken.renewed;
    figures.failed += taken.failed ? 1 : 0;
  });
  const bool look_again =
      watch.outdate([this](const std::string& serial) { return is_revoked(serial); }) || watch.again;
  if (watch.due) renewals_.emplace(*watch.due, key);
  if (look_again) {
    look(key, connection->second, watch);
  } else if (taken.refusal) {
    refuse(connection->second, key.stream, status_of(*taken.refusal), taken.refusal->error.to_string());
    forget(key, connection->second);
  } else {
    tell(key.stream, connection->second, watch);
  }
  pump_or_drop(key.connection);
}

void WorkloadApi::tell(std::int32_t stream, Connection& connection, Watch& watch) {
  if (watch.asked || !watch.known || !watch.untold || watch.sending) return;
  watch.untold = false;
  watch.sending = true;
  if (watch.wants_svids) {
    connection.session.send(stream, x509_svid_response(watch.held, trust_.data), trust_.data.svid_lists);
  } else {
    connection.session.send(stream, x509_bundles_response(trust_.data), trust_.data.bundle_lists);
  }
  count([](WorkloadFigures& figures) { ++figures.pushed; });
}

void WorkloadApi::forget(const Key& key, Connection& connection) {
  const auto found = connection.watches.find(key.stream);
  if (found == connection.watches.end()) return;
  const bool svids = found->second.wants_svids;
  if (found->second.due) renewals_.erase({*found->second.due, key});
  *found->second.gone = true;
  connection.watches.erase(found);
  if (connection.watches.empty()) connection.idle_since = Clock::now();
  --calls_;
  count([svids](WorkloadFigures& figures) { --(svids ? figures.svid_calls : figures.bundle_calls); });
}

}  // namespace cortexflow::identity
