// SPDX-License-Identifier: Apache-2.0
#include "identity/former_roots.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "identity/certificates.h"

namespace cortexflow::identity {
namespace {

using nlohmann::ordered_json;

std::shared_ptr<X509> root_in(const ordered_json& json) {
  auto read = read_certificates(json.at("root").get<std::string>());
  if (!read || read->size() != 1) return nullptr;
  return {read->front().release(), X509_free};
}

}  // namespace

Result<FormerRoots> FormerRoots::open(std::unique_ptr<KeptText> kept) {
  FormerRoots made(std::move(kept));
  const auto text = made.text_->read();
  if (!text) return tl::make_unexpected(text.error());
  if (!*text) return made;
  const auto json = ordered_json::parse((*text)->view(), nullptr, false);
  bool good = false;
  try {
    made.kept_.active = Active{json.at("active").at("issuer").get<std::string>(), root_in(json.at("active"))};
    good = made.kept_.active->root != nullptr;
    for (const auto& one : json.at("former")) {
      const std::chrono::seconds until{
          std::clamp<std::int64_t>(one.at("until").get<std::int64_t>(), 0, kLastTime.count())};
      made.kept_.former.push_back({root_in(one), Time(until)});
      good = good && made.kept_.former.back().root;
    }
  } catch (const ordered_json::exception&) {
    good = false;
  }
  if (good) return made;
  return tl::make_unexpected(Error{fmt::format("{}: it is not what cfidentity writes", made.text_->name()),
                                   "remove it; roots of before that are still needed go into authority.roots"});
}

Result<void> FormerRoots::follow(const Authority& active, const LastEnd& last_end, Time now) {
  if (kept_.active && kept_.active->issuer == active.id() && X509_cmp(kept_.active->root.get(), active.root()) == 0) {
    return {};
  }
  Kept next{Active{active.id(), {copy_of(active.root()).release(), X509_free}}, kept_.former};
  if (kept_.active && X509_cmp(kept_.active->root.get(), active.root()) != 0) {
    const auto end = last_end(kept_.active->issuer);
    if (end && *end >= now) next.former.push_back({kept_.active->root, *end});
  }
  std::erase_if(next.former,
                [&](const Former& one) { return now > one.until || X509_cmp(one.root.get(), active.root()) == 0; });
  if (next.former.size() > kMax) {
    return fail("{} roots of before have certificates that stand; no more are kept", kMax);
  }
  return keep(std::move(next));
}

Result<bool> FormerRoots::retire(Time now) {
  Kept next = kept_;
  if (std::erase_if(next.former, [now](const Former& one) { return now > one.until; }) == 0) return false;
  if (auto kept = keep(std::move(next)); !kept) return tl::make_unexpected(std::move(kept.error()));
  return true;
}

std::vector<std::shared_ptr<X509>> FormerRoots::roots() const {
  std::vector<std::shared_ptr<X509>> out;
  out.reserve(kept_.former.size());
  for (const auto& one : kept_.former) out.push_back(one.root);
  return out;
}

Result<void> FormerRoots::keep(Kept next) {
  auto former = ordered_json::array();
  for (const auto& one : next.former) {
    // Rounded up: it stays rather longer.
    former.push_back({{"root", pem_of(one.root.get())},
                      {"until", std::chrono::ceil<std::chrono::seconds>(one.until.time_since_epoch()).count()}});
  }
  const ordered_json document{{"active", {{"issuer", next.active->issuer}, {"root", pem_of(next.active->root.get())}}},
                              {"former", std::move(former)}};
  if (auto written = text_->replace(document.dump(1) + "\n"); !written) return written;
  kept_ = std::move(next);
  return {};
}

}  // namespace cortexflow::identity
