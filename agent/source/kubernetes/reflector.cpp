// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/reflector.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/source/kubernetes/json_text.h"
#include "agent/source/manifest/value.h"

namespace cortexflow::source {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int kPageObjects = 500;                  // client-go's
constexpr std::size_t kPageOctetsMax = 256 << 20;  // etcd takes objects of up to 1.5 MiB
constexpr std::size_t kLineOctetsMax = 8 << 20;
constexpr auto kListMax = 120s;
constexpr auto kWatchMin = 300s;  // the server ends a watch between this and twice this, as client-go asks for
constexpr auto kWatchGrace = 30s;
constexpr auto kBackOffFirst = 800ms, kBackOffMax = 30'000ms;
constexpr auto kMissingAgain = 30'000ms;
constexpr auto kLivedWell = 5s;
constexpr std::size_t kWordsMax = 300;

std::string text_in(const json& object, const char* part, const char* key) {
  const auto holder = object.find(part);
  if (holder == object.end() || !holder->is_object()) return {};
  const auto at = holder->find(key);
  return at != holder->end() && at->is_string() ? at->get<std::string>() : std::string{};
}

// What a Status object says, or the beginning of what is none.
std::string words_of(const std::string& body) {
  const auto status = parse_json(body);
  if (status && status->is_object() && status->contains("message") && (*status)["message"].is_string()) {
    return printable((*status)["message"].get<std::string>().substr(0, kWordsMax));
  }
  return body.empty() ? "nothing" : printable(body.substr(0, 80));
}

// Of this kind; a proxy's or another server's 404 is not an answer about it.
bool says_not_found(const std::string& body) {
  if (body.find("404 page not found") == 0) return true;  // the API server's own, for a group that it doesn't have
  const auto status = parse_json(body);
  return status && status->is_object() && status->value("kind", json()) == "Status" &&
         status->value("reason", json()) == "NotFound";
}

}  // namespace

Reflector::Reflector(const Resource& resource, Listener listener, std::function<double()> random)
    : resource_(&resource), listener_(std::move(listener)), random_(std::move(random)) {}

std::optional<std::string> Reflector::next(Time now) {
  if (state_ != State::kWaiting || now < at_) return std::nullopt;
  body_.clear();
  broken_ = false;
  asked_ = now;
  if (resource_version_.empty() || !continue_.empty()) {
    state_ = State::kListing;
    answer_max_ = kListMax;
    std::string path = version().path;
    if (paged_) path += fmt::format("?limit={}", kPageObjects);
    if (!continue_.empty()) path += "&continue=" + continue_;
    return path;
  }
  state_ = State::kWatching;
  const auto lifetime = kWatchMin + std::chrono::seconds(static_cast<int>(random_() * kWatchMin.count()));
  answer_max_ = lifetime + kWatchGrace;
  return fmt::format("{}?watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}", version().path,
                     resource_version_, lifetime.count());
}

bool Reflector::received(std::string_view octets, int status, Time now) {
  figures_.octets += octets.size();
  if (broken_) return false;
  if (state_ != State::kWatching || status != 200) {
    if (body_.size() + octets.size() > kPageOctetsMax) {
      break_off(fmt::format("an answer of more than {} octets", kPageOctetsMax), now);
      return false;
    }
    body_ += octets;
    return true;
  }
  if (octets.empty()) {
    heard_ = now;
    trouble_.clear();
  }
  while (!octets.empty() && !broken_) {
    const auto end = octets.find('\n');
    if (body_.size() + std::min(end, octets.size()) > kLineOctetsMax) {
      break_off(fmt::format("an event of more than {} octets", kLineOctetsMax), now);
      list_anew();
      return false;
    }
    body_ += octets.substr(0, end);
    if (end == std::string_view::npos) break;
    octets.remove_prefix(end + 1);
    const std::string line = std::move(body_);
    body_.clear();
    if (!line.empty()) take_line(line, now);
  }
  return !broken_;
}

void Reflector::take_line(std::string_view line, Time now) {
  auto event = parse_json(line);
  const bool whole = event && event->is_object() && event->contains("object") && (*event)["object"].is_object() &&
                     event->value("type", json()).is_string();
  if (!whole) return break_off("expected an event of a watch, found " + printable(line.substr(0, 80)), now);
  const std::string type = (*event)["type"];
  auto& object = (*event)["object"];
  if (type == "ERROR") {
    if (object.value("code", json()) != 410) return break_off("the watch failed: " + words_of(object.dump()), now);
    ++figures_.gone;
    list_anew();
    broken_ = true;
    return;
  }
  const std::string at = text_in(object, "metadata", "resourceVersion");
  if (at.empty()) {
    return break_off("expected an object with a resourceVersion, found " + printable(line.substr(0, 80)), now);
  }
  heard_ = now;
  trouble_.clear();
  failures_in_row_ = 0;
  resource_version_ = at;
  if (type == "BOOKMARK") return;
  ++figures_.events;
  take(object, type == "DELETED");
}

void Reflector::take(json& object, bool erased) {
  const model::ObjectName name{text_in(object, "metadata", "namespace"), text_in(object, "metadata", "name")};
  if (erased) return listener_.erase(name);
  listener_.put(name, object, text_in(object, "metadata", "resourceVersion"));
}

void Reflector::list_anew() {
  resource_version_.clear();
  continue_.clear();
  paged_ = true;
}

void Reflector::wait(Time now, std::chrono::milliseconds least) {
  at_ = now + least + std::chrono::milliseconds(static_cast<int>(static_cast<double>(least.count()) * random_()));
}

void Reflector::fail(std::string words, Time now, std::optional<std::chrono::seconds> after) {
  trouble_ = std::move(words);
  ++figures_.failures;
  const auto back_off = kBackOffFirst * (1U << std::min(failures_in_row_, 6U));
  ++failures_in_row_;
  wait(now, std::max<std::chrono::milliseconds>(std::min<std::chrono::milliseconds>(kBackOffMax, back_off),
                                                after.value_or(0s)));
}

// What has come of this answer is good, what comes is not looked at.
void Reflector::break_off(std::string words, Time now) {
  fail(std::move(words), now);
  broken_ = true;
}

void Reflector::ended(const Answered& answered, Time now) {
  const bool listed = state_ == State::kListing;
  state_ = State::kWaiting;
  if (broken_) {
    at_ = std::max(at_, now);
    return;
  }
  at_ = now;
  if (answered.status != 200 || !answered.error.empty()) {
    if (!listed && now - asked_ >= kLivedWell) failures_in_row_ = 0;  // it is not one after the other
    return refused(answered, now);
  }
  not_found_ = 0;
  if (listed) return take_page(now);
  if (!body_.empty()) return fail("the watch ended within an event", now);
  if (now - asked_ < kLivedWell) return fail("the watch ended at once", now);
  failures_in_row_ = 0;
}

void Reflector::refused(const Answered& answered, Time now) {
  if (answered.status == 0 || answered.status == 200) return fail(answered.error, now, answered.after);
  if (answered.status == 410) {
    ++figures_.gone;
    const bool in_pages = !continue_.empty();
    list_anew();
    paged_ = !in_pages;  // the pages take longer than the server keeps them: all at once then
    return;
  }
  if (answered.status == 404 && says_not_found(body_)) {
    list_anew();
    version_ = (version_ + 1) % resource_->versions.size();
    if (++not_found_ < resource_->versions.size()) return;
    not_found_ = 0;
    if (resource_->may_be_missing) {
      if (!missing_) listener_.missing();
      missing_ = synced_ = true;
      listing_ = false;
      trouble_.clear();
      heard_ = now;
      return wait(now, kMissingAgain);
    }
  }
  std::string words = fmt::format("the server answered {}: {}", answered.status, words_of(body_));
  if (answered.status == 403) words += "; let this one's role list and watch it in all namespaces";
  if (answered.status == 401) words += "; check the token or certificate";
  fail(std::move(words), now, answered.after);
}

void Reflector::take_page(Time now) {
  auto list = parse_json(body_);
  body_.clear();
  body_.shrink_to_fit();
  const bool whole = list && list->is_object() && list->value("kind", json()) == version().kind + "List" &&
                     !text_in(*list, "metadata", "resourceVersion").empty();
  const auto items = whole ? list->find("items") : json::iterator{};
  if (!whole || (items != list->end() && !items->is_array() && !items->is_null())) {
    const auto kind = list && list->is_object() ? list->value("kind", json()).dump() : "no JSON object";
    return fail(fmt::format("expected a {}List, found {}", version().kind, printable(kind)), now);
  }
  if (!listing_ || continue_.empty()) listener_.list_begins();
  listing_ = true;
  if (items != list->end() && items->is_array()) {
    for (auto& object : *items) {
      if (object.is_object()) take(object, false);
    }
  }
  continue_ = escaped(text_in(*list, "metadata", "continue"));
  // Of the first page, and the same in those that follow.
  resource_version_ = text_in(*list, "metadata", "resourceVersion");
  heard_ = now;
  trouble_.clear();
  failures_in_row_ = 0;
  if (!continue_.empty()) return;
  ++figures_.lists;
  listing_ = missing_ = false;
  synced_ = true;
  paged_ = true;
  listener_.list_ended();
}

}  // namespace cortexflow::source
