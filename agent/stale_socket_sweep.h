// SPDX-License-Identifier: Apache-2.0
// Ends UDP sockets that are connected to a backend which has left its service, each in its own network namespace, on a
// thread of its own: reading all sockets may take a while.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/node_view.h"
#include "agent/kernel/socket_end.h"
#include "agent/kernel/stale_sockets.h"

namespace cortexflow {

class StaleSocketSweep {
 public:
  static constexpr const char* kName = "stale udp sockets";  // in cfcli status

  // Has the backend that this socket is connected to left the service?  Called from the sweep's thread.
  using HasLeft = std::function<bool(const cf_svc_stale_socket&)>;
  using Counts = std::array<std::uint64_t, kernel::kSocketEnds>;  // by kernel::SocketEnd

  // An error where the kernel can't find or can't end such sockets.
  [[nodiscard]] static Result<std::unique_ptr<StaleSocketSweep>> start(const kernel::ServiceTables& tables,
                                                                       HasLeft has_left);
  ~StaleSocketSweep();
  StaleSocketSweep(const StaleSocketSweep&) = delete;
  StaleSocketSweep& operator=(const StaleSocketSweep&) = delete;

  // Backends have left, and are out of the tables.  Requests in quick succession are one.
  void request();
  [[nodiscard]] Counts counts() const;  // since the start
  [[nodiscard]] control::FunctionStatus function() const;
  [[nodiscard]] kernel::ProgramInfo program() const { return sockets_->program(); }

 private:
  StaleSocketSweep(std::unique_ptr<kernel::StaleSockets> sockets, HasLeft has_left);
  void run();
  struct Pass {
    Counts counts{};
    bool more = false;    // another one may find more
    std::string failure;  // why nothing was found out
  };
  [[nodiscard]] Pass pass();
  [[nodiscard]] static Counts end(const std::vector<cf_svc_stale_socket>& sockets);

  std::unique_ptr<kernel::StaleSockets> sockets_;
  HasLeft has_left_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool requested_ = false;
  bool stopping_ = false;
  Counts counts_{};
  Pass latest_;
  std::thread thread_;
};

}  // namespace cortexflow
