// SPDX-License-Identifier: Apache-2.0
// HTTP over the standard input and output of `cfcli relay` in a pod.
#pragma once

#include <memory>
#include <string>

#include "cli/cluster/api_server.h"
#include "cli/transport.h"

namespace cortexflow::cli {

class PodTransport : public Transport {
 public:
  // `next_step`: where nothing answers in the pod, in place of what the program there says to do.
  PodTransport(std::shared_ptr<const ApiServer> server, std::string node, source::ExecTarget target,
               std::string next_step)
      : server_(std::move(server)),
        node_(std::move(node)),
        target_(std::move(target)),
        next_step_(std::move(next_step)) {}

  [[nodiscard]] Result<std::unique_ptr<Connection>> connect() const override;

 private:
  std::shared_ptr<const ApiServer> server_;
  std::string node_;
  source::ExecTarget target_;
  std::string next_step_;
};

}  // namespace cortexflow::cli
