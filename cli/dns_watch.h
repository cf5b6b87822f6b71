// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/client.h"

namespace cortexflow::cli {

struct WatchOptions {
  std::string output = "table";  // table, wide, json, yaml
  bool color = false;
  Client::Parameters parameters;
};

// `cfcli dns watch`: one line a lookup as they end, at last what was seen and lost.  Ends on SIGINT and SIGTERM too.
[[nodiscard]] Result<void> dns_watch(const Client& client, const WatchOptions& options);

}  // namespace cortexflow::cli
