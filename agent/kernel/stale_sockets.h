// SPDX-License-Identifier: Apache-2.0
// UDP sockets of all network namespaces that are connected to a backend which the service tables don't have any more:
// bpf/mesh/stale_sockets, over the tables of ServiceTables.
#pragma once

#include <memory>
#include <vector>

#include "agent/base/result.h"
#include "agent/kernel/service_tables.h"
#include "bpf/abi/service.h"

struct bpf_link;
struct stale_sockets_bpf;

namespace cortexflow::kernel {

class StaleSockets {
 public:
  [[nodiscard]] static Result<std::unique_ptr<StaleSockets>> open(const ServiceTables& tables);
  ~StaleSockets();
  StaleSockets(const StaleSockets&) = delete;
  StaleSockets& operator=(const StaleSockets&) = delete;

  // Those that there are now, at most `limit`.
  [[nodiscard]] Result<std::vector<cf_svc_stale_socket>> find(std::size_t limit) const;
  [[nodiscard]] ProgramInfo program() const;

 private:
  StaleSockets() = default;

  stale_sockets_bpf* skeleton_ = nullptr;
  bpf_link* link_ = nullptr;
};

}  // namespace cortexflow::kernel
