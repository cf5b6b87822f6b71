// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cortexflow::sink {

// The values that one label may have: the first `max` that come, and "other" for all that come later.  A value is known
// by a key (cheap to make) and has an index (cheap to compare); its text is made once. Not thread-safe.
class LabelLimit {
 public:
  static constexpr std::uint16_t kOther = 0;

  // `values` shows how many are in use, `overflow` counts uses of "other".  Both have to outlive this.
  LabelLimit(std::size_t max, prometheus::Gauge& values, prometheus::Counter& overflow);

  // Index of the value of `key`.  `make_text()` is asked for the label's text when the key is new.
  template <typename MakeText>
  std::uint16_t index(std::string_view key, MakeText make_text) {
    if (latest_ && latest_->first == key) return latest_->second;  // lookups of a kind come in runs
    if (const auto found = indexes_.find(key); found != indexes_.end()) {
      latest_ = &*found;
      return found->second;
    }
    return full() ? refuse() : add(key, make_text());
  }
  // kOther, counted.
  std::uint16_t refuse();

  const std::string& text(std::uint16_t index) const { return texts_[index]; }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  bool full() const { return indexes_.size() >= max_; }
  std::uint16_t add(std::string_view key, std::string text);

  std::size_t max_;
  prometheus::Gauge& values_;
  prometheus::Counter& overflow_;
  std::unordered_map<std::string, std::uint16_t, Hash, std::equal_to<>> indexes_;
  const std::pair<const std::string, std::uint16_t>* latest_ = nullptr;  // found in indexes_, which keeps its place
  std::vector<std::string> texts_;
};

// The metrics that tell of all limited labels.  The registry has to outlive what they give.
class LabelLimits {
 public:
  explicit LabelLimits(prometheus::Registry& registry);

  [[nodiscard]] LabelLimit limit(const std::string& label, std::size_t max);
  // Where there are too many series of a metric, whatever their labels.
  [[nodiscard]] prometheus::Counter& overflow(const std::string& label);

 private:
  prometheus::Family<prometheus::Gauge>& values_;
  prometheus::Family<prometheus::Counter>& overflow_;
};

}  // namespace cortexflow::sink
