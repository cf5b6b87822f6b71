// SPDX-License-Identifier: Apache-2.0
// Reading an object's fields: what isn't there has its default, what is wrong is remembered with its line and path.
// Reading goes on after a problem, with defaults, so that a reader is straight code; the first problem counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/source/manifest/tree_builder.h"

namespace cortexflow::source {

// One object's tree and its first problem.
struct Document {
  const Value* root = nullptr;
  std::optional<Problem> problem{};
};

// A place in a document; null counts as absent, as in the API server.  Lives no longer than the document.
class Field {
 public:
  explicit Field(Document& document) : document_(&document), value_(document.root), holder_(document.root) {}

  [[nodiscard]] bool present() const { return value_ && value_->type != Value::Type::kNull; }
  [[nodiscard]] bool is_text() const { return value_ && value_->type == Value::Type::kString; }
  [[nodiscard]] std::uint32_t line() const { return value_ ? value_->line : holder_->line; }

  // Of a mapping; absent where this is.
  [[nodiscard]] Field operator[](std::string_view key) const;
  // Of a list, or of a mapping (with their key()); empty where this is absent.
  [[nodiscard]] std::vector<Field> items(std::size_t max) const;
  [[nodiscard]] std::vector<Field> entries(std::size_t max) const;
  [[nodiscard]] const Value& tree() const { return *value_; }  // where present
  [[nodiscard]] const std::string& key() const { return value_->key; }

  [[nodiscard]] std::string text(std::string_view fallback = "") const;
  [[nodiscard]] std::string required_text() const;
  [[nodiscard]] bool flag(bool fallback) const;
  // Nothing where absent or wrong.
  [[nodiscard]] std::optional<std::int64_t> number(std::int64_t min, std::int64_t max) const;
  // One of `choices`, by its place; `fallback` where absent or wrong.
  [[nodiscard]] std::size_t choice(const std::vector<std::string_view>& choices, std::size_t fallback) const;
  // A typing error in a kind of our own must not pass for a default.
  void only(const std::vector<std::string_view>& known) const;

  // "expected ..., found ..."
  void expected(std::string_view what) const;
  void refuse(std::string reason) const;

 private:
  Field(Document* document, const Value* value, const Value* holder, std::string_view key)
      : document_(document), value_(value), holder_(holder), key_(key) {}

  Document* document_;
  const Value* value_;   // null: absent
  const Value* holder_;  // the mapping it should be in
  std::string_view key_;
};

}  // namespace cortexflow::source
