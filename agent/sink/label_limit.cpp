// SPDX-License-Identifier: Apache-2.0
#include "agent/sink/label_limit.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace cortexflow::sink {

LabelLimit::LabelLimit(std::size_t max, prometheus::Gauge& values, prometheus::Counter& overflow)
    : max_(std::min<std::size_t>(max, std::numeric_limits<std::uint16_t>::max())),
      values_(values),
      overflow_(overflow),
      texts_{"other"} {}

std::uint16_t LabelLimit::refuse() {
  overflow_.Increment();
  return kOther;
}

std::uint16_t LabelLimit::add(std::string_view key, std::string text) {
  const auto index = static_cast<std::uint16_t>(texts_.size());
  texts_.push_back(std::move(text));
  indexes_.emplace(key, index);
  values_.Set(static_cast<double>(indexes_.size()));
  return index;
}

LabelLimits::LabelLimits(prometheus::Registry& registry)
    : values_(prometheus::BuildGauge()
                  .Name("cortexflow_metric_label_values")
                  .Help("Values in use of a label whose number of values is limited.")
                  .Register(registry)),
      overflow_(prometheus::BuildCounter()
                    .Name("cortexflow_metric_label_overflow_total")
                    .Help("Times that a label's value was recorded as \"other\" because of its limit.")
                    .Register(registry)) {}

LabelLimit LabelLimits::limit(const std::string& label, std::size_t max) {
  return {max, values_.Add({{"label", label}}), overflow(label)};
}

prometheus::Counter& LabelLimits::overflow(const std::string& label) { return overflow_.Add({{"label", label}}); }

}  // namespace cortexflow::sink
