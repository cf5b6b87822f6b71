// SPDX-License-Identifier: Apache-2.0
// Records in Secrets.  NAME is the index: the numbers of the segments NAME-0, NAME-1... that make them up, in their
// order.  The last of these is open and is written anew with each sync; when it is full, another one is begun.
// Segments that the index does not name are left over from a step that was not finished, or free.
//
// Every step writes segments first and then the index, and takes effect with the index alone.  An earlier leader can
// write neither that nor the open segment (HeldSecret), and hears of it before it has told anybody.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "identity/cluster/held_secret.h"
#include "identity/records.h"

namespace cortexflow::identity {

class SecretRecords : public Records {
 public:
  static constexpr std::size_t kSegments = 128;            // numbers there are
  static constexpr std::size_t kOpenMax = 32U << 10U;      // octets, as all of it is sent with each sync
  static constexpr std::size_t kSegmentMax = 512U << 10U;  // closed ones are joined up to this
  // Leaves as many segments as a rewrite of all takes, and some for revocations, which are never refused.
  static constexpr std::uint64_t kOctetsMax = 28U << 20U;

  // Takes the records over from whoever led before.
  [[nodiscard]] static Result<std::unique_ptr<Records>> open(std::shared_ptr<SecretStore> store,
                                                             std::shared_ptr<Term> term, const std::string& name,
                                                             const Take& take);

  [[nodiscard]] Result<std::uint64_t> write(std::string_view record) override;
  [[nodiscard]] Result<void> sync(std::uint64_t position) override;
  [[nodiscard]] Result<void> sync() override;
  [[nodiscard]] Result<void> rewrite(const std::vector<std::string>& records) override;
  [[nodiscard]] std::uint64_t octets() const override { return octets_; }
  [[nodiscard]] std::uint64_t octets_max() const override { return kOctetsMax; }

 private:
  struct Closed {
    int number = 0;
    std::string version;
  };
  using Versions = std::map<int, std::string>;  // by number; empty: there is none

  SecretRecords(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term, HeldSecret index, std::string name)
      : store_(std::move(store)), term_(std::move(term)), index_(std::move(index)), name_(std::move(name)) {}
  [[nodiscard]] std::string segment_name(int number) const { return fmt::format("{}-{}", name_, number); }
  [[nodiscard]] Result<void> load(const Take& take);
  [[nodiscard]] Result<Closed> load_closed(int number, const Take& take);
  [[nodiscard]] Result<void> append(std::string lines);
  [[nodiscard]] Result<void> begin_segment(std::string lines);
  [[nodiscard]] Result<HeldSecret> write_segment(int number, std::string version, std::string text);
  [[nodiscard]] Result<void> name_segments(const std::vector<Closed>& closed, int open);
  [[nodiscard]] Result<Versions> unnamed(std::size_t count) const;
  void remove(const Versions& segments);

  const std::shared_ptr<SecretStore> store_;
  const std::shared_ptr<Term> term_;
  std::mutex write_mutex_;  // pending_, octets_, written_
  std::mutex sync_mutex_;   // all that is sent; before write_mutex_, where both are held
  HeldSecret index_;
  const std::string name_;
  std::vector<Closed> closed_;
  std::string last_closed_;  // text of closed_.back(), which the next one is joined with
  std::optional<HeldSecret> open_;
  int open_number_ = -1;
  std::string pending_;        // lines that were not sent yet
  std::uint64_t octets_ = 0;   // of all lines
  std::uint64_t written_ = 0;  // octets ever, over all rewrites: what positions count
  std::uint64_t synced_ = 0;   // of these
};

}  // namespace cortexflow::identity
