// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/lease.h"

#include <algorithm>

namespace cortexflow::identity {
namespace {

using nlohmann::json;

constexpr std::int64_t kDurationMax = 3600;  // seconds: nobody is waited for longer, whatever a Lease says

std::string text_of(const json& spec, const char* key) {
  const auto at = spec.find(key);
  return at != spec.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::int64_t number_of(const json& spec, const char* key) {
  const auto at = spec.find(key);
  return at != spec.end() && at->is_number_integer() ? at->get<std::int64_t>() : 0;
}

}  // namespace

LeaseRecord lease_record(const json& lease) {
  const auto spec = lease.find("spec");
  if (spec == lease.end() || !spec->is_object()) return {};
  return {text_of(*spec, "holderIdentity"),
          std::chrono::seconds(std::clamp<std::int64_t>(number_of(*spec, "leaseDurationSeconds"), 0, kDurationMax)),
          text_of(*spec, "acquireTime"), text_of(*spec, "renewTime"),
          std::max<std::int64_t>(number_of(*spec, "leaseTransitions"), 0)};
}

json lease_spec(const LeaseRecord& record) {
  json spec{{"holderIdentity", record.holder},
            {"leaseDurationSeconds", record.duration.count()},
            {"leaseTransitions", record.transitions}};
  if (!record.acquired.empty()) spec["acquireTime"] = record.acquired;
  if (!record.renewed.empty()) spec["renewTime"] = record.renewed;
  return spec;
}

Lease::Lease(source::ApiCalls& calls, const std::string& name_space, std::string name)
    : leases_(calls, fmt::format("/apis/coordination.k8s.io/v1/namespaces/{}/leases", name_space),
              "get, create and patch the Lease " + name),
      name_(std::move(name)) {}

ApiObject Lease::ask(const Election::Request& request) const {
  switch (request.verb) {
    case Election::Request::Verb::kRead:
      return leases_.get(name_);
    case Election::Request::Verb::kCreate:
      return leases_.create({{"apiVersion", "coordination.k8s.io/v1"},
                             {"kind", "Lease"},
                             {"metadata", {{"name", name_}}},
                             {"spec", lease_spec(request.record)}});
    default:
      return leases_.merge(
          name_, {{"metadata", {{"resourceVersion", request.version}}}, {"spec", lease_spec(request.record)}});
  }
}

Result<void> Lease::send(const Election::Request& request, Election& election) const {
  const auto answer = ask(request);
  const auto now = std::chrono::steady_clock::now();
  switch (answer.outcome) {
    case ApiOutcome::kObject: {
      const bool reads = request.verb == Election::Request::Verb::kRead;
      (election.*(reads ? &Election::read : &Election::wrote))(lease_record(answer.object),
                                                               metadata_text(answer.object, "resourceVersion"), now);
      return {};
    }
    case ApiOutcome::kMissing:
      election.missing(now);
      return {};
    case ApiOutcome::kConflict:
      election.conflict(now);
      return {};
    default:
      election.failed(now);
      return tl::make_unexpected(answer.error);
  }
}

}  // namespace cortexflow::identity
