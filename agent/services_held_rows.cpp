// SPDX-License-Identifier: Apache-2.0
// Services: how those are shown that stay as an agent before left them.
#include "agent/compile/image.h"
#include "agent/service_rows.h"
#include "agent/services.h"

namespace cortexflow {

// The tables note 16 bits of a hash of the name: known is who has them alone among the names that there are.
std::map<std::uint16_t, model::ObjectName> Services::names_by_owner() const {
  std::set<model::ObjectName> names(book_.held());
  for (const auto& name : overrides_.names()) names.insert(name);
  for (const auto& key : unread_->objects) {
    if (key.kind == model::Kind::kService) names.insert(key.name);
  }
  std::map<std::uint16_t, model::ObjectName> out;
  std::set<std::uint16_t> ambiguous;
  for (const auto& name : names) {
    if (!out.emplace(compile::owner_of(name), name).second) ambiguous.insert(compile::owner_of(name));
  }
  for (const auto owner : ambiguous) out.erase(owner);
  return out;
}

std::string Services::why_held(const model::ObjectName* name) const {
  if (name && unread_->objects.contains({model::Kind::kService, *name})) return "its Service can't be used";
  if (unread_->anything) return "a directory, or a document that doesn't tell its name, can't be read";
  return "a document of its namespace can't be used";
}

void Services::add_held_rows(std::vector<control::ServiceRow>& rows) const {
  if (!unread_) return;
  const auto names = names_by_owner();
  for (const auto& [number, image] : book_.unclaimed_images()) {
    auto row = held_row(number, image, *tables_);
    const auto found = names.find(image.owner);
    const auto* name = found == names.end() ? nullptr : &found->second;
    row.ns = name ? name->ns : "";
    row.name = name ? name->name : "?";
    row.held_since = taken_over_;
    row.problems.push_back("held as the agent before left it: " + why_held(name));
    rows.push_back(std::move(row));
  }
}

}  // namespace cortexflow
