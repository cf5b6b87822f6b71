// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/tree_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace cortexflow::source {
namespace {

std::size_t count(const Value& value) {
  std::size_t sum = 1;
  for (const Value& item : value.items) sum += count(item);
  return sum;
}

}  // namespace

void TreeBuilder::scalar(std::uint32_t line, std::string text, bool is_quoted, const std::string& anchor) {
  if (!count_value(line)) return;
  if (!open_.empty() && open_.back().value.type == Value::Type::kMap && !open_.back().key) {
    open_.back().merges = !is_quoted && text == "<<";
    open_.back().key = std::move(text);
    return;
  }
  Value value;
  value.line = line;
  value.type = is_quoted ? Value::Type::kString : plain_type(text);
  value.text = std::move(text);
  complete(std::move(value), anchor);
}

void TreeBuilder::open(std::uint32_t line, Value::Type type, const std::string& anchor) {
  if (!count_value(line)) return;
  if (open_.size() >= kDepthMax) return fail(line, fmt::format("expected no more than {} levels", kDepthMax));
  if (!open_.empty() && open_.back().value.type == Value::Type::kMap && !open_.back().key) {
    return fail(line, "expected a text as a mapping's key");
  }
  Open made;
  made.value.type = type;
  made.value.line = line;
  made.anchor = anchor;
  open_.push_back(std::move(made));
}

void TreeBuilder::close() {
  Open done = std::move(open_.back());
  open_.pop_back();
  if (done.value.type == Value::Type::kMap) {
    check_keys(done.value);
    if (!done.merged.empty()) merge(done);
  }
  if (!problem_) complete(std::move(done.value), done.anchor);
}

void TreeBuilder::alias(std::uint32_t line, const std::string& name) {
  const auto found = anchors_.find(name);
  if (found == anchors_.end()) {
    return fail(line, fmt::format("expected an anchor before its alias; none is named {}", quoted(name)));
  }
  if (!open_.empty() && open_.back().value.type == Value::Type::kMap && !open_.back().key) {
    return fail(line, "expected a text as a mapping's key, found an alias");
  }
  if (charge_copies(line, found->second)) complete(found->second, "");
}

void TreeBuilder::fail(std::uint32_t line, std::string reason) {
  if (!problem_) problem_ = Problem{line, "", std::move(reason)};
}

bool TreeBuilder::count_value(std::uint32_t line) {
  if (++values_ <= kDocumentValuesMax) return true;
  fail(line, fmt::format("expected no more than {} values in one document", kDocumentValuesMax));
  return false;
}

bool TreeBuilder::charge_copies(std::uint32_t line, const Value& value) {
  copies_ += count(value);
  if (copies_ <= kAliasedValuesMax) return true;
  fail(line, fmt::format("expected anchors and aliases that repeat no more than {} values", kAliasedValuesMax));
  return false;
}

void TreeBuilder::complete(Value value, const std::string& anchor) {
  if (!anchor.empty()) {
    if (!charge_copies(value.line, value)) return;
    anchors_[anchor] = value;
    anchors_[anchor].key.clear();
  }
  if (open_.empty()) {
    root_ = std::move(value);
    return;
  }
  Open& parent = open_.back();
  if (parent.key) {
    value.key = *std::exchange(parent.key, std::nullopt);
    if (parent.merges) {
      parent.merged.push_back(std::move(value));
      return;
    }
  }
  parent.value.items.push_back(std::move(value));
}

// https://yaml.org/type/merge.html: a mapping, or a list of mappings of which the first that has a key counts.
void TreeBuilder::merge(Open& mapping) {
  std::set<std::string> keys;
  for (const Value& item : mapping.value.items) keys.insert(item.key);
  for (Value& merged : mapping.merged) {
    if (merged.type == Value::Type::kMap) {
      Value list;
      list.items.push_back(std::move(merged));
      merged = std::move(list);
      merged.type = Value::Type::kList;
    }
    for (Value& source : merged.items) {
      if (merged.type != Value::Type::kList || source.type != Value::Type::kMap) {
        return fail(source.line, fmt::format("expected a mapping to merge by <<, found {}", describe(source)));
      }
      for (Value& item : source.items) {
        if (keys.insert(item.key).second) mapping.value.items.push_back(std::move(item));
      }
    }
    if (merged.type != Value::Type::kList) {
      return fail(merged.line, fmt::format("expected a mapping to merge by <<, found {}", describe(merged)));
    }
  }
}

void TreeBuilder::check_keys(const Value& mapping) {
  std::vector<const Value*> sorted;
  sorted.reserve(mapping.items.size());
  for (const Value& item : mapping.items) sorted.push_back(&item);
  std::sort(sorted.begin(), sorted.end(),
            [](const Value* a, const Value* b) { return a->key != b->key ? a->key < b->key : a->line < b->line; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i]->key == sorted[i - 1]->key) {
      return fail(sorted[i]->line, fmt::format("expected each key once; {} is there twice", quoted(sorted[i]->key)));
    }
  }
}

}  // namespace cortexflow::source
