// SPDX-License-Identifier: Apache-2.0
#include "identity/cluster/election.h"

namespace cortexflow::identity {

std::optional<Election::Request> Election::next(Time now, const std::string& wall) const {
  if (now < due_) return std::nullopt;
  if (step_ == Request::Verb::kRead) return Request{};
  return Request{step_, own(wall), step_ == Request::Verb::kWrite ? version_ : std::string()};
}

LeaseRecord Election::own(const std::string& wall) const {
  const auto duration = std::chrono::ceil<std::chrono::seconds>(timing_.lease);  // others wait rather longer
  if (record_.holder == self_) return {self_, duration, record_.acquired, wall, record_.transitions};
  return {self_, duration, wall, wall, record_.transitions + 1};
}

void Election::read(LeaseRecord record, std::string version, Time now) {
  if (!heard_ || version != version_) observed_ = now;
  heard_ = now;
  record_ = std::move(record);
  version_ = std::move(version);
  leads_ = leads_ && record_.holder == self_;
  const bool held = !record_.holder.empty() && record_.holder != self_ && now < observed_ + record_.duration;
  const bool stands = !held && now >= stands_from_;
  step_ = stands ? Request::Verb::kWrite : Request::Verb::kRead;
  due_ = stands ? now : now + timing_.retry;
}

void Election::wrote(LeaseRecord record, std::string version, Time now) {
  heard_ = renewed_ = observed_ = now;
  record_ = std::move(record);
  version_ = std::move(version);
  leads_ = record_.holder == self_;
  step_ = Request::Verb::kRead;
  due_ = now + timing_.retry;
}

void Election::missing(Time now) {
  heard_ = now;
  record_ = {};
  version_.clear();
  leads_ = false;
  const bool stands = now >= stands_from_;
  step_ = stands ? Request::Verb::kCreate : Request::Verb::kRead;
  due_ = stands ? now : now + timing_.retry;
}

void Election::conflict(Time now) {
  heard_ = now;
  step_ = Request::Verb::kRead;
  due_ = now;
}

void Election::failed(Time now) {
  step_ = Request::Verb::kRead;
  due_ = now + timing_.retry;
}

std::optional<Election::Request> Election::release(Time until, const std::string& wall) {
  stands_from_ = until;
  if (!leads_) return std::nullopt;
  leads_ = false;
  step_ = Request::Verb::kRead;
  return Request{
      Request::Verb::kWrite, {"", std::chrono::seconds(1), record_.acquired, wall, record_.transitions}, version_};
}

}  // namespace cortexflow::identity
