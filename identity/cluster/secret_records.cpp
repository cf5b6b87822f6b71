// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/secret_records.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "identity/record_line.h"

namespace cortexflow::identity {
namespace {

using nlohmann::json;

constexpr int kNone = -1;

// {"segments": [3, 0, 5]}
Result<std::vector<int>> read_index(const std::optional<std::string>& text, const std::string& name) {
  if (!text) return std::vector<int>();
  std::vector<int> numbers;
  std::set<int> seen;
  try {
    const auto document = json::parse(*text);
    for (const auto& one : document.at("segments").get<std::vector<json>>()) {
      const auto number = one.get<int>();
      const bool good =
          number >= 0 && number < static_cast<int>(SecretRecords::kSegments) && seen.insert(number).second;
      if (!good) return fail("Secret {}: it is not what cfidentity writes", name);
      numbers.push_back(number);
    }
  } catch (const json::exception&) {
    return fail("Secret {}: it is not what cfidentity writes", name);
  }
  return numbers;
}

Result<void> take_text(const std::string& name, const std::string& text, const Records::Take& take) {
  const auto read = read_lines(text, "Secret " + name, take);
  if (!read) return tl::make_unexpected(read.error());
  if (read->broken == 0) return {};
  return tl::make_unexpected(  // a Secret is written as a whole, or not
      Error{fmt::format("Secret {}:{}: a damaged record", name, read->broken), "somebody changed it: restore it"});
}

// Whole lines, of `max` octets at most where the first one is no longer.
std::string take_lines(std::string& from, std::size_t max) {
  auto end = from.size();
  if (end > max) {
    const auto last = from.rfind('\n', max - 1);
    end = (last == std::string::npos ? from.find('\n') : last) + 1;
  }
  auto taken = from.substr(0, end);
  from.erase(0, end);
  return taken;
}

}  // namespace

Result<std::unique_ptr<Records>> SecretRecords::open(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term,
                                                     const std::string& name, const Take& take) {
  auto index = HeldSecret::take(store, term, name);
  if (!index) return tl::make_unexpected(std::move(index.error()));
  std::unique_ptr<SecretRecords> records(new SecretRecords(std::move(store), std::move(term), std::move(*index), name));
  if (auto loaded = records->load(take); !loaded) return tl::make_unexpected(std::move(loaded.error()));
  return records;
}

Result<void> SecretRecords::load(const Take& take) {
  const auto numbers = read_index(index_.text(), name_);
  if (!numbers) return tl::make_unexpected(numbers.error());
  if (numbers->empty()) return name_segments({}, kNone);
  for (auto number = numbers->begin(); number + 1 != numbers->end(); ++number) {
    auto closed = load_closed(*number, take);
    if (!closed) return tl::make_unexpected(std::move(closed.error()));
    closed_.push_back(std::move(*closed));
  }
  auto open = HeldSecret::take(store_, term_, segment_name(numbers->back()));
  if (!open) return tl::make_unexpected(std::move(open.error()));
  if (!open->text()) return fail("Secret {} is gone; {} names it; restore it", open->name(), name_);
  octets_ += open->text()->size();
  open_number_ = numbers->back();
  open_ = std::move(*open);
  return take_text(open_->name(), *open_->text(), take);
}

Result<SecretRecords::Closed> SecretRecords::load_closed(int number, const Take& take) {
  const auto name = segment_name(number);
  auto found = store_->get(name);
  if (!found) return tl::make_unexpected(std::move(found.error().error).wrap("cannot read Secret " + name));
  const bool whole = *found && (*found)->data.contains(HeldSecret::kKey);
  if (!whole) return fail("Secret {} is gone; {} names it; restore it", name, name_);
  last_closed_ = std::move((*found)->data.at(HeldSecret::kKey));
  octets_ += last_closed_.size();
  if (auto taken = take_text(name, last_closed_, take); !taken) return tl::make_unexpected(std::move(taken.error()));
  return Closed{number, (*found)->version};
}

Result<std::uint64_t> SecretRecords::write(std::string_view record) {
  const auto line = line_of(record);
  const std::lock_guard lock(write_mutex_);
  if (term_->over()) return Term::is_over();
  pending_ += line;
  octets_ += line.size();
  written_ += line.size();
  return written_;
}

Result<void> SecretRecords::sync(std::uint64_t position) {
  const std::lock_guard sending(sync_mutex_);
  if (synced_ >= position) return {};
  if (term_->over()) return Term::is_over();
  std::string lines;
  std::uint64_t reached = 0;
  {
    const std::lock_guard lock(write_mutex_);
    lines.swap(pending_);
    reached = written_;
  }
  if (auto sent = append(std::move(lines)); !sent) {
    term_->end();
    return sent;
  }
  synced_ = reached;
  return {};
}

Result<void> SecretRecords::sync() {
  std::uint64_t position = 0;
  {
    const std::lock_guard lock(write_mutex_);
    position = written_;
  }
  return sync(position);
}

Result<void> SecretRecords::append(std::string lines) {
  while (!lines.empty()) {
    auto some = take_lines(lines, kOpenMax);
    const bool fits = open_ && open_->text()->size() + some.size() <= kOpenMax;
    auto written = fits ? open_->replace(*open_->text() + some) : begin_segment(std::move(some));
    if (!written) return written;
  }
  return {};
}

Result<void> SecretRecords::begin_segment(std::string lines) {
  const auto numbers = unnamed(2);
  if (!numbers) return tl::make_unexpected(numbers.error());
  if (numbers->size() < 2) return fail("all {} segments of the ledger are full", kSegments);
  const auto& [number, version] = *numbers->begin();
  auto open = write_segment(number, version, std::move(lines));
  if (!open) return tl::make_unexpected(std::move(open.error()));
  auto closed = closed_;
  auto last = last_closed_;
  Versions gone;
  if (open_ && !closed.empty() && last.size() + open_->text()->size() <= kSegmentMax) {
    last += *open_->text();
    gone = {{closed.back().number, closed.back().version}, {open_number_, open_->version()}};
    const auto& [other, other_version] = *numbers->rbegin();
    const auto joined = write_segment(other, other_version, last);
    if (!joined) return tl::make_unexpected(joined.error());
    closed.back() = {other, joined->version()};
  } else if (open_) {
    last = *open_->text();
    closed.push_back({open_number_, open_->version()});
  }
  if (auto named = name_segments(closed, number); !named) return named;
  closed_ = std::move(closed);
  last_closed_ = std::move(last);
  open_number_ = number;
  open_ = std::move(*open);
  remove(gone);
  return {};
}

Result<void> SecretRecords::rewrite(const std::vector<std::string>& records) {
  std::string text;
  for (const auto& record : records) text += line_of(record);
  const auto octets = text.size();
  const std::scoped_lock lock(write_mutex_, sync_mutex_);
  if (term_->over()) return Term::is_over();
  // Their versions are of before the index is written: a later leader's are others.
  auto gone = unnamed(kSegments);
  if (!gone) return tl::make_unexpected(gone.error());
  const auto free = *gone;
  for (const auto& one : closed_) gone->emplace(one.number, one.version);
  if (open_) gone->emplace(open_number_, open_->version());
  std::vector<Closed> closed;
  std::string last;
  std::optional<HeldSecret> open;
  int open_number = kNone;
  for (auto place = free.begin(); !text.empty(); ++place) {
    if (place == free.end()) return fail("the segments of the ledger that are free do not hold all of it");
    if (open) {
      last = *open->text();
      closed.push_back({open_number, open->version()});
    }
    auto made = write_segment(place->first, place->second, take_lines(text, kSegmentMax));
    if (!made) return tl::make_unexpected(std::move(made.error()));
    open_number = place->first;
    open = std::move(*made);
    gone->erase(open_number);
  }
  if (auto named = name_segments(closed, open_number); !named) return named;
  closed_ = std::move(closed);
  last_closed_ = std::move(last);
  open_ = std::move(open);
  open_number_ = open_number;
  pending_.clear();
  octets_ = octets;
  synced_ = written_;
  remove(*gone);
  return {};
}

Result<HeldSecret> SecretRecords::write_segment(int number, std::string version, std::string text) {
  return HeldSecret::make(store_, term_, segment_name(number), std::move(version), std::move(text));
}

Result<void> SecretRecords::name_segments(const std::vector<Closed>& closed, int open) {
  auto numbers = json::array();
  for (const auto& one : closed) numbers.push_back(one.number);
  if (open != kNone) numbers.push_back(open);
  return index_.replace(json{{"segments", std::move(numbers)}}.dump());
}

// The first `count` of those that the index does not name, and the versions that they have now.
Result<SecretRecords::Versions> SecretRecords::unnamed(std::size_t count) const {
  Versions found;
  for (int number = 0; number < static_cast<int>(kSegments) && found.size() < count; ++number) {
    const bool named = number == open_number_ || std::any_of(closed_.begin(), closed_.end(), [number](const auto& one) {
                         return one.number == number;
                       });
    if (named) continue;
    auto there = store_->get(segment_name(number));
    if (!there) {
      return tl::make_unexpected(std::move(there.error().error).wrap("cannot read Secret " + segment_name(number)));
    }
    found.emplace(number, *there ? (*there)->version : std::string());
  }
  return found;
}

// Those that nothing names any more.  One that can't be removed is written over some time.
void SecretRecords::remove(const Versions& segments) {
  for (const auto& [number, version] : segments) {
    if (!version.empty()) std::ignore = store_->remove(segment_name(number), version);
  }
}

}  // namespace cortexflow::identity
