// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/field.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "agent/source/manifest/names.h"

namespace cortexflow::source {
namespace {

// Looked for only when there is something to say: a path for every field that is read would cost more than the reading.
std::optional<std::string> path_to(const Value& from, const Value* wanted) {
  if (&from == wanted) return "";
  for (std::size_t i = 0; i < from.items.size(); ++i) {
    const Value& item = from.items[i];
    if (const auto rest = path_to(item, wanted)) {
      const bool plain = is_label_key(item.key);
      const std::string step = from.type == Value::Type::kList ? fmt::format("[{}]", i)
                               : plain                         ? item.key
                                                               : source::quoted(item.key);
      return step + (rest->empty() || rest->front() == '[' ? "" : ".") + *rest;
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_int(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
  const bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) text.erase(0, 1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    base = text[1] == 'x' ? 16 : text[1] == 'b' ? 2 : 8;
    text.erase(0, text[1] == 'x' || text[1] == 'b' || text[1] == 'o' ? 2 : 1);
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return negative ? -value : value;
}

}  // namespace

Field Field::operator[](std::string_view key) const {
  if (!present()) return Field(document_, nullptr, holder_, key_);
  if (value_->type != Value::Type::kMap) {
    expected("a mapping");
    return Field(document_, nullptr, holder_, key_);
  }
  return Field(document_, value_->find(key), value_, key);
}

std::vector<Field> Field::items(std::size_t max) const {
  std::vector<Field> made;
  if (!present()) return made;
  if (value_->type != Value::Type::kList) return expected("a list"), made;
  if (value_->items.size() > max) {
    refuse(fmt::format("expected no more than {} items, found {}", max, value_->items.size()));
    return made;
  }
  made.reserve(value_->items.size());
  for (const Value& item : value_->items) made.push_back(Field(document_, &item, value_, ""));
  return made;
}

std::vector<Field> Field::entries(std::size_t max) const {
  std::vector<Field> made;
  if (!present()) return made;
  if (value_->type != Value::Type::kMap) return expected("a mapping"), made;
  if (value_->items.size() > max) {
    refuse(fmt::format("expected no more than {} entries, found {}", max, value_->items.size()));
    return made;
  }
  made.reserve(value_->items.size());
  for (const Value& item : value_->items) made.push_back(Field(document_, &item, value_, item.key));
  return made;
}

std::string Field::text(std::string_view fallback) const {
  if (!present()) return std::string(fallback);
  if (value_->type == Value::Type::kString) return value_->text;
  const bool scalar = value_->type != Value::Type::kList && value_->type != Value::Type::kMap;
  expected(scalar ? "a text (in quotes)" : "a text");
  return std::string(fallback);
}

std::string Field::required_text() const {
  const std::string read = text();
  if (read.empty()) expected("a text");
  return read;
}

bool Field::flag(bool fallback) const {
  if (!present()) return fallback;
  if (value_->type != Value::Type::kBool) return expected("true or false"), fallback;
  return std::string_view("tTyY").find(value_->text[0]) != std::string_view::npos || value_->text == "on" ||
         value_->text == "On" || value_->text == "ON";
}

std::optional<std::int64_t> Field::number(std::int64_t min, std::int64_t max) const {
  if (!present()) return std::nullopt;
  const auto value = value_->type == Value::Type::kInt ? parse_int(value_->text) : std::nullopt;
  if (value && *value >= min && *value <= max) return value;
  expected(fmt::format("a number from {} to {}", min, max));
  return std::nullopt;
}

std::size_t Field::choice(const std::vector<std::string_view>& choices, std::size_t fallback) const {
  if (!present() || (is_text() && value_->text.empty()))
    return fallback;  // "" has the default too, as in the API server
  const auto found =
      value_->type == Value::Type::kString ? std::find(choices.begin(), choices.end(), value_->text) : choices.end();
  if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  expected(choices.size() == 1 ? std::string(choices[0]) : fmt::format("one of {}", fmt::join(choices, ", ")));
  return fallback;
}

void Field::only(const std::vector<std::string_view>& known) const {
  if (!present()) return;
  if (value_->type != Value::Type::kMap) return expected("a mapping");
  for (const Value& item : value_->items) {
    if (std::find(known.begin(), known.end(), item.key) == known.end()) {
      return Field(document_, &item, value_, item.key)
          .refuse(fmt::format("unknown field; expected one of {}", fmt::join(known, ", ")));
    }
  }
}

void Field::expected(std::string_view what) const {
  refuse(fmt::format("expected {}, found {}", what, value_ ? describe(*value_) : "nothing"));
}

void Field::refuse(std::string reason) const {
  if (document_->problem) return;
  std::string path = path_to(*document_->root, value_ ? value_ : holder_).value_or("");
  if (!value_ && !key_.empty()) path += (path.empty() ? "" : ".") + std::string(key_);
  if (path.size() > 256) path.resize(256);
  document_->problem = Problem{line(), std::move(path), std::move(reason)};
}

}  // namespace cortexflow::source
