// SPDX-License-Identifier: Apache-2.0
// One kind of objects, followed: a list in pages, then a watch from where the list was taken, without a gap; anew when
// the server no longer has what came in between (410 Gone).  Says what to ask next, takes what was answered; no clock,
// no thread, no socket. https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "agent/source/kubernetes/resource.h"

namespace cortexflow::source {

// What a request came to.
struct Answered {
  int status = 0;                             // of HTTP; 0: none came
  std::string error;                          // why the stream ended before its end, in words; empty: it did not
  std::optional<std::chrono::seconds> after;  // Retry-After
};

class Reflector {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // What the objects are told to, as the server sent them.
  struct Listener {
    std::function<void(const model::ObjectName& name, nlohmann::json& object, const std::string& resource_version)> put;
    std::function<void(const model::ObjectName& name)> erase;
    std::function<void()> list_begins;  // what is not put until list_ended is not there any more
    std::function<void()> list_ended;
    std::function<void()> missing;  // the server has no such kind (any more)
  };

  struct Figures {
    std::uint64_t lists = 0, events = 0, failures = 0;
    std::uint64_t octets = 0;
    std::uint64_t gone = 0;  // lists because of 410
  };

  enum class State : std::uint8_t { kWaiting, kListing, kWatching };

  // `random` gives numbers from 0 to 1.
  Reflector(const Resource& resource, Listener listener, std::function<double()> random);

  // The path and query to ask for; nothing: an answer is under way, or it is not yet time().
  [[nodiscard]] std::optional<std::string> next(Time now);
  // When next() has something to say; meaningless while an answer is under way.
  [[nodiscard]] Time time() const { return at_; }
  // The longest that the answer to the request under way may take.
  [[nodiscard]] std::chrono::seconds answer_max() const { return answer_max_; }

  // Part of the answer's body, nothing when it begins; `status` is its HTTP status.  False: the rest is of no use, end
  // it.
  [[nodiscard]] bool received(std::string_view octets, int status, Time now);
  void ended(const Answered& answered, Time now);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool synced() const { return synced_; }       // all objects were there once, or there is no such kind
  [[nodiscard]] bool is_missing() const { return missing_; }  // the server does not have the kind
  [[nodiscard]] const std::string& trouble() const { return trouble_; }  // why nothing comes, in words; empty: it does
  [[nodiscard]] const Figures& figures() const { return figures_; }
  [[nodiscard]] const Resource& resource() const { return *resource_; }
  [[nodiscard]] const ResourceVersion& version() const { return resource_->versions[version_]; }
  [[nodiscard]] Time heard() const { return heard_; }  // from the server, the latest good answer

 private:
  void take_page(Time now);
  void take_line(std::string_view line, Time now);
  void take(nlohmann::json& object, bool erased);
  void list_anew();
  void wait(Time now, std::chrono::milliseconds least);
  void fail(std::string words, Time now, std::optional<std::chrono::seconds> after = {});
  void break_off(std::string words, Time now);
  void refused(const Answered& answered, Time now);

  const Resource* resource_;
  Listener listener_;
  std::function<double()> random_;
  std::size_t version_ = 0;
  std::size_t not_found_ = 0;  // versions in a row that the server does not have
  State state_ = State::kWaiting;
  Time at_{};
  Time asked_{}, heard_{};
  std::chrono::seconds answer_max_{};
  std::string body_;              // of a page, or of a line, as far as it has come
  std::string continue_;          // the list's next page
  std::string resource_version_;  // to watch from; empty: list
  bool paged_ = true;             // lists are asked for in pages
  bool listing_ = false;          // list_begins was told
  bool broken_ = false;           // the rest of this answer is not looked at
  bool synced_ = false, missing_ = false;
  std::string trouble_;
  unsigned int failures_in_row_ = 0;
  Figures figures_;
};

}  // namespace cortexflow::source
