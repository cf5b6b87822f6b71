// SPDX-License-Identifier: Apache-2.0
// The Lease of an election, at an API server.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "identity/cluster/api_object.h"
#include "identity/cluster/election.h"

namespace cortexflow::identity {

// Of a Lease's spec; what is missing or of another type is as in a Lease that nobody holds.
[[nodiscard]] LeaseRecord lease_record(const nlohmann::json& lease);
[[nodiscard]] nlohmann::json lease_spec(const LeaseRecord& record);

class Lease {
 public:
  // `calls` has to outlive it.
  Lease(source::ApiCalls& calls, const std::string& name_space, std::string name);

  // Sends what the election wants to and tells it what came of it.  An error: why nobody knows.
  [[nodiscard]] Result<void> send(const Election::Request& request, Election& election) const;

 private:
  [[nodiscard]] ApiObject ask(const Election::Request& request) const;

  const ApiObjects leases_;
  const std::string name_;
};

}  // namespace cortexflow::identity
