// SPDX-License-Identifier: Apache-2.0
// What each HTTP server of cfidentity's refuses, whatever its paths are, and how a refusal looks.
#pragma once

#include <httplib.h>

#include <optional>

#include "identity/issuer.h"

namespace cortexflow::identity {

void refuse(httplib::Response& response, const Refusal& refusal);

// Before a body is read.  Compressed, it could be of any length; without one, httplib waits for the peer's end.
[[nodiscard]] std::optional<Refusal> refusal_of_body(const httplib::Request& request, std::size_t octets_max);

// For paths that there aren't, and what was not understood.
void add_errors(httplib::Server& server);

}  // namespace cortexflow::identity
