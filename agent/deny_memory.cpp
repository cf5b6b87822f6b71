// SPDX-License-Identifier: Apache-2.0
#include "agent/deny_memory.h"

#include <utility>

#include "agent/base/replace_file.h"
#include "agent/put_aside.h"
#include "agent/source/deny_list_text.h"
#include "agent/source/manifest/file_text.h"

namespace cortexflow {

Result<DenyMemory::Lists> DenyMemory::recall() const {
  auto read = source::read_deny_lists_file(path_);
  if (!read) {
    return tl::make_unexpected(std::move(read.error()).wrap(put_aside(path_)));
  }
  Lists out;
  for (auto& list : *read) {
    auto name = list.name.name;
    out.emplace(std::move(name), std::make_shared<const model::DenyList>(std::move(list)));
  }
  return out;
}

Result<void> DenyMemory::keep(const Lists& lists) {
  std::string text;
  for (const auto& [name, list] : lists) text += source::deny_list_text(*list);
  if (text.size() > source::kDenyListsOctetsMax) {
    return fail("the DenyLists are {} octets, {} are possible", text.size(), source::kDenyListsOctetsMax);
  }
  const auto there = source::read_text(path_, source::kDenyListsOctetsMax);
  if (there && there->value_or("") == text) return {};
  return replace_file(path_, text);
}

}  // namespace cortexflow
