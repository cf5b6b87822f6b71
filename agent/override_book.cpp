// SPDX-License-Identifier: Apache-2.0
#include "agent/override_book.h"

#include <spdlog/spdlog.h>

#include "agent/base/replace_file.h"
#include "agent/put_aside.h"
#include "agent/source/override/override_file.h"

namespace cortexflow {

OverrideBook OverrideBook::open(std::string path) {
  OverrideBook book(std::move(path));
  auto read = source::read_overrides(book.path_);
  if (read) {
    book.overrides_ = std::move(*read);
    return book;
  }
  spdlog::error("operator's weights and drains are not used: {}; {}", read.error().to_string(), put_aside(book.path_));
  return book;
}

const model::ServiceOverride* OverrideBook::find(const model::ObjectName& service) const {
  const auto found = overrides_.find(service);
  return found == overrides_.end() ? nullptr : &found->second;
}

std::vector<model::ObjectName> OverrideBook::names() const {
  std::vector<model::ObjectName> out;
  for (const auto& [name, set] : overrides_) out.push_back(name);
  return out;
}

model::ServiceOverrides OverrideBook::with(const model::ObjectName& service, const model::ServiceOverride& now) const {
  auto out = overrides_;
  if (now.empty()) {
    out.erase(service);
  } else {
    out[service] = now;
  }
  return out;
}

void OverrideBook::set(const model::ObjectName& service, model::ServiceOverride now) {
  if (now.empty()) {
    overrides_.erase(service);
  } else {
    overrides_[service] = std::move(now);
  }
}

Result<void> OverrideBook::write(const model::ServiceOverrides& overrides) const {
  return replace_file(path_, source::overrides_text(overrides));
}

}  // namespace cortexflow
