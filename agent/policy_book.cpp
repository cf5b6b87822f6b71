// SPDX-License-Identifier: Apache-2.0
#include "agent/policy_book.h"

#include "agent/base/replace_file.h"
#include "agent/source/manifest/file_text.h"

namespace cortexflow {

PolicyBook PolicyBook::open(std::string path) {
  PolicyBook book(std::move(path));
  const auto text = source::read_text(book.path_, source::kOperatorPoliciesOctetsMax);
  if (!text) {
    book.refusals_ = {{source::kOperatorSource, book.path_, 0, "", "", text.error().to_string()}};
    book.unread_.anything = true;
    return book;
  }
  auto read = source::read_policy_documents(text->value_or(""));
  book.documents_ = std::move(read.documents);
  book.refusals_ = std::move(read.refusals);
  book.unread_ = std::move(read.unread);
  for (auto& refusal : book.refusals_) refusal.file = book.path_;
  return book;
}

model::SourceUpdate PolicyBook::first() const {
  model::SourceUpdate out;
  for (const auto& [key, document] : documents_) out.changes.push_back({key, document.object});
  out.refusals = refusals_;
  out.refused = refusals_.size();
  return out;
}

Result<void> PolicyBook::write(const Documents& documents) const {
  return replace_file(path_, source::policy_documents_text(documents));
}

}  // namespace cortexflow
