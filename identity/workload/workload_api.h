// SPDX-License-Identifier: Apache-2.0
// The SPIFFE Workload API (SPIFFE_Workload_API.md): gRPC on a Unix socket that everybody may open.  The kernel says who
// calls, the mapping which identities that is; each gets certificates with their keys, and new ones before these end,
// when one is revoked, and when roots, lists or the mapping change.  X.509 alone: the calls for JWT are unimplemented.
//
// One thread has all connections; keys and signatures are made by others.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/fd.h"
#include "identity/caller.h"
#include "identity/workload/grpc_session.h"
#include "identity/workload/svids.h"
#include "identity/workload/watch.h"
#include "identity/workload/workers.h"

namespace cortexflow::identity {

// What is more is refused: connections are hung up on, the longest without a call first, calls answered with
// RESOURCE_EXHAUSTED.
struct WorkloadLimits {
  std::size_t connections = 16'384;
  std::size_t connections_per_user = 1'024;
  std::size_t calls = 32'768;  // that stand
  std::size_t calls_per_connection = 16;
};

struct WorkloadFigures {
  std::uint64_t connections = 0;
  std::uint64_t svid_calls = 0, bundle_calls = 0;  // that stand
  std::uint64_t pushed = 0;                        // messages
  std::uint64_t renewed = 0;                       // certificates
  std::uint64_t failed = 0;                        // times that one could not be made
  std::map<std::string, std::uint64_t> refused;    // by why: a gRPC status, "connections"
  std::optional<Time> first_end;                   // of the certificates that callers hold
  bool lists_fit = true;                           // revocation lists are in the answers
};

class WorkloadApi {
 public:
  // `issuer` has to outlive it, and tells it by changed().
  WorkloadApi(Issuer& issuer, std::string socket_path, WorkloadLimits limits = {});
  WorkloadApi(const WorkloadApi&) = delete;
  WorkloadApi& operator=(const WorkloadApi&) = delete;
  ~WorkloadApi();

  // Refused where something answers on the socket already, or where its path is no socket.
  [[nodiscard]] Result<void> start();
  // Ends all calls with UNAVAILABLE, and removes the socket.
  void stop();
  // From any thread.
  void changed(Issuer::Change what);
  [[nodiscard]] WorkloadFigures figures() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection {
    Fd fd;
    Caller caller;
    GrpcSession session;
    std::map<std::int32_t, Watch> watches;  // by stream
    Secret unsent;                          // of what the session gave out
    std::size_t unsent_at = 0;
    bool waits_to_send = false;
    bool over = false;             // the peer speaks no HTTP/2
    Clock::time_point active;      // took something
    Clock::time_point idle_since;  // without a standing call
  };
  struct Key {
    std::uint64_t connection;
    std::int32_t stream;
    auto operator<=>(const Key&) const = default;
  };

  // workload_api.cpp
  [[nodiscard]] Result<void> listen();
  void run();
  void post(std::function<void()> action);
  void do_posted();
  void review();
  void refresh_trust();
  void apply(Trust trust);
  void renew_due();

  // connections.cpp
  void accept_all();
  [[nodiscard]] bool make_room(uid_t user);
  void serve(std::uint64_t id, std::uint32_t events);
  // False where the connection is over.
  [[nodiscard]] bool pump(std::uint64_t id, Connection& connection);
  [[nodiscard]] bool flush(Connection& connection);
  [[nodiscard]] bool receive(Connection& connection);
  void wait_to_send(std::uint64_t id, Connection& connection);
  void drop(std::uint64_t id);
  void pump_or_drop(std::uint64_t id);
  void sweep();
  void drain();

  // calls.cpp
  void handle(std::uint64_t id, Connection& connection, const GrpcSession::Event& event);
  void called(std::uint64_t id, Connection& connection, const GrpcSession::Event& event);
  void look(const Key& key, Connection& connection, Watch& watch);
  void finish(const Key& key, Made made);
  void tell(std::int32_t stream, Connection& connection, Watch& watch);
  void refuse(Connection& connection, std::int32_t stream, grpc::Status status, std::string_view why);
  void forget(const Key& key, Connection& connection);
  [[nodiscard]] bool is_revoked(const std::string& serial) const;
  void count(const std::function<void(WorkloadFigures&)>& change);

  Issuer& issuer_;
  const std::string socket_path_;
  const WorkloadLimits limits_;
  Fd listener_, epoll_, wake_;

  // The loop's own.
  std::map<std::uint64_t, Connection> connections_;
  std::map<uid_t, std::size_t> users_;  // connections of each
  std::set<std::pair<Time, Key>> renewals_;
  std::uint64_t next_id_ = 2;  // 0 and 1 are the listener and the wake-up
  std::size_t calls_ = 0;
  Trust trust_;
  bool trust_asked_ = false, trust_again_ = false;
  Clock::time_point trust_at_{};  // asked
  Clock::time_point swept_{};
  bool accepting_ = true;

  std::atomic<bool> stopping_ = false;
  std::atomic<unsigned> changes_ = 0;  // bits by Issuer::Change
  mutable std::mutex mutex_;           // figures_, posted_
  WorkloadFigures figures_;
  std::vector<std::function<void()>> posted_;
  std::unique_ptr<Workers> workers_;
  std::thread loop_;
};

}  // namespace cortexflow::identity
