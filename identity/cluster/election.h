// SPDX-License-Identifier: Apache-2.0
// Who of several leads, by a Lease that all of them read and the leader renews: the algorithm of client-go's
// leaderelection.  Nobody trusts another's clock: a lease has run out when it was not seen to change for its duration.
// Pure: the caller sends what it is told to and says what came of it.
//
// Other than there, a leader that can't renew goes on leading until it sees that another one does: what it writes in
// the meantime is refused by the API server itself (identity/cluster/held_secret.h), whatever any clock says.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace cortexflow::identity {

struct ElectionTiming {
  std::chrono::milliseconds lease{std::chrono::seconds(15)};  // after which others take over
  std::chrono::milliseconds retry{std::chrono::seconds(2)};   // from one request to the next
};

// A Lease's spec.
struct LeaseRecord {
  std::string holder;  // empty: nobody
  std::chrono::seconds duration{};
  std::string acquired, renewed;  // as the holder's clock says, for readers; in the form of the API
  std::int64_t transitions = 0;
  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};

class Election {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Election(std::string self, ElectionTiming timing) : self_(std::move(self)), timing_(timing) {}

  struct Request {
    enum class Verb : std::uint8_t { kRead, kCreate, kWrite } verb = Verb::kRead;
    LeaseRecord record;   // of the last two
    std::string version;  // that is replaced
  };
  // What to send now; nothing: it is not time.  `wall` is now, as readers of the Lease are told.
  [[nodiscard]] std::optional<Request> next(Time now, const std::string& wall) const;
  // When to ask again.
  [[nodiscard]] Time due() const { return due_; }

  // What came of it.
  void read(LeaseRecord record, std::string version, Time now);
  void wrote(LeaseRecord record, std::string version, Time now);
  void missing(Time now);   // there is no Lease
  void conflict(Time now);  // another one has written
  void failed(Time now);    // nobody knows

  [[nodiscard]] bool leads() const { return leads_; }
  // Who is seen to lead; empty: nobody.
  [[nodiscard]] const std::string& leader() const { return record_.holder; }
  [[nodiscard]] std::int64_t transitions() const { return record_.transitions; }
  // When the API server last took this one's lease.
  [[nodiscard]] std::optional<Time> renewed() const { return renewed_; }
  // When the API server last answered.
  [[nodiscard]] std::optional<Time> heard() const { return heard_; }

  // Gives up leading, and stands again then: what the lease is given back with, so that others need not wait.  Nothing:
  // it does not lead.
  [[nodiscard]] std::optional<Request> release(Time until, const std::string& wall);

 private:
  [[nodiscard]] LeaseRecord own(const std::string& wall) const;

  const std::string self_;
  const ElectionTiming timing_;
  Request::Verb step_ = Request::Verb::kRead;
  Time due_, stands_from_;
  LeaseRecord record_;  // as it was last seen, or written
  std::string version_;
  Time observed_;  // when it was first seen so
  std::optional<Time> renewed_, heard_;
  bool leads_ = false;
};

}  // namespace cortexflow::identity
