// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace cortexflow::cli {

// What helm rendered, to be read: Secrets without their data.  `helm template` does not look into the cluster, so that
// a passphrase in it is freshly drawn: neither the one there is, nor the one that will be.
[[nodiscard]] std::string shown_manifests(const std::string& manifests);

}  // namespace cortexflow::cli
