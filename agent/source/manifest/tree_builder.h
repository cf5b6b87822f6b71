// SPDX-License-Identifier: Apache-2.0
// Puts a parser's events together into a tree: keys, anchors, aliases, merge keys, limits.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/source/manifest/value.h"

namespace cortexflow::source {

inline constexpr std::size_t kDepthMax = 32;  // a Pod in a List needs 14
inline constexpr std::size_t kDocumentValuesMax = 2'000'000;
inline constexpr std::size_t kAliasedValuesMax = 50'000;  // copies that anchors and aliases may make

struct Problem {
  std::uint32_t line = 0;
  std::string field;   // "spec.ports[0].port"; empty: the whole document
  std::string reason;  // what was expected, and what was there
};

class TreeBuilder {
 public:
  // An event each; `anchor` is empty where there is none.  After a problem nothing more is to be added.
  void scalar(std::uint32_t line, std::string text, bool is_quoted, const std::string& anchor);
  void open(std::uint32_t line, Value::Type type, const std::string& anchor);
  void close();
  void alias(std::uint32_t line, const std::string& name);

  [[nodiscard]] const std::optional<Problem>& problem() const { return problem_; }
  [[nodiscard]] Value take() { return std::move(root_); }

 private:
  struct Open {
    Value value;
    std::string anchor;
    std::optional<std::string> key;  // of a mapping: waits for its value
    bool merges = false;             // that key is <<
    std::vector<Value> merged;       // what << named
  };

  void fail(std::uint32_t line, std::string reason);
  bool count_value(std::uint32_t line);
  bool charge_copies(std::uint32_t line, const Value& value);
  void complete(Value value, const std::string& anchor);
  void merge(Open& mapping);
  void check_keys(const Value& mapping);

  std::vector<Open> open_;
  std::map<std::string, Value> anchors_;
  std::size_t values_ = 0;
  std::size_t copies_ = 0;
  Value root_;
  std::optional<Problem> problem_;
};

}  // namespace cortexflow::source
