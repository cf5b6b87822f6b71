// SPDX-License-Identifier: Apache-2.0
// The operator's own AuthorizationPolicies and NetworkPolicies, kept in a file as they change.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/source/policy_documents.h"

namespace cortexflow {

class PolicyBook {
 public:
  using Documents = std::map<model::ObjectKey, source::PolicyDocument>;

  // What a file before has.  What of it can't be read is refused like a manifest: whom it keeps out nobody knows, so it
  // stays where it is, and closes what such a manifest closes.
  [[nodiscard]] static PolicyBook open(std::string path);

  [[nodiscard]] const Documents& documents() const { return documents_; }
  [[nodiscard]] const std::vector<model::Refusal>& refusals() const { return refusals_; }
  [[nodiscard]] const model::Unread& unread() const { return unread_; }
  // All of them as a source's first words.
  [[nodiscard]] model::SourceUpdate first() const;
  // In memory alone.
  void set(Documents documents) { documents_ = std::move(documents); }
  // On disk when it returns; the file is as it was before where that fails.  One call at a time; any thread may use the
  // rest meanwhile.
  [[nodiscard]] Result<void> write(const Documents& documents) const;

 private:
  explicit PolicyBook(std::string path) : path_(std::move(path)) {}

  std::string path_;
  Documents documents_;
  std::vector<model::Refusal> refusals_;
  model::Unread unread_;
};

}  // namespace cortexflow
