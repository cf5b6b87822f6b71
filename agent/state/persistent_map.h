// SPDX-License-Identifier: Apache-2.0
// A map whose copies share what they have in common: copying costs one pointer, a change then copies the two nodes on
// its way (64 + 64 pointers) and one leaf.  100,000 entries make leaves of 25.
//
// A node belongs to the edit (a number, the generation in the making) that made it.  Only changes of that same edit
// write to it; every other edit copies it first.  So whoever keeps a copy across an edit's end never sees a change, and
// readers in other threads need no lock.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "agent/model/service.h"

namespace cortexflow::state {

inline const model::ObjectName& name_in(const auto& object) { return object.name; }
inline model::ObjectName name_in(const model::Namespace& object) { return {"", object.name}; }
inline model::ObjectName name_in(const model::Node& object) { return {"", object.name}; }

// ObjectName -> shared_ptr<const T>, where T has a name.
template <typename T>
class PersistentMap {
 public:
  using Entry = std::shared_ptr<const T>;
  using Edit = std::uint64_t;

  [[nodiscard]] std::size_t size() const { return size_; }

  // Null: not there.
  [[nodiscard]] Entry find(const model::ObjectName& name) const {
    const Leaf* leaf = leaf_at(hash_of(name));
    if (!leaf) return nullptr;
    const auto at = place(leaf->entries, name);
    return at != leaf->entries.end() && name_in(**at) == name ? *at : nullptr;
  }

  // In an order of its own: the same for the same names, not sorted.
  void for_each(const std::function<void(const Entry&)>& visit) const {
    if (!root_) return;
    for (const auto& branch : root_->children) {
      if (!branch) continue;
      for (const auto& leaf : branch->children) {
        if (!leaf) continue;
        for (const Entry& entry : leaf->entries) visit(entry);
      }
    }
  }

  void put(Entry entry, Edit edit) {
    const model::ObjectName& name = name_in(*entry);
    auto& entries = own_leaf(hash_of(name), edit).entries;
    const auto at = entries.begin() + (place(entries, name) - entries.cbegin());
    if (at != entries.end() && name_in(**at) == name) {
      *at = std::move(entry);
    } else {
      entries.insert(at, std::move(entry));
      ++size_;
    }
  }

  void erase(const model::ObjectName& name, Edit edit) {
    if (!find(name)) return;
    auto& entries = own_leaf(hash_of(name), edit).entries;
    entries.erase(place(entries, name));
    --size_;
  }

 private:
  static constexpr std::size_t kFanout = 64;

  struct Leaf {
    Edit edit = 0;
    std::vector<Entry> entries;  // by name
  };
  template <typename Child>
  struct Node {
    Edit edit = 0;
    std::array<std::shared_ptr<Child>, kFanout> children;
  };
  using Branch = Node<Leaf>;
  using Root = Node<Branch>;

  static std::size_t hash_of(const model::ObjectName& name) {
    const std::hash<std::string> hash;
    return hash(name.ns) * 31 + hash(name.name);
  }

  static auto place(const std::vector<Entry>& entries, const model::ObjectName& name) {
    return std::lower_bound(
        entries.begin(), entries.end(), name,
        [](const Entry& entry, const model::ObjectName& wanted) { return name_in(*entry) < wanted; });
  }

  const Leaf* leaf_at(std::size_t hash) const {
    if (!root_) return nullptr;
    const auto& branch = root_->children[hash % kFanout];
    return branch ? branch->children[hash / kFanout % kFanout].get() : nullptr;
  }

  template <typename N>
  static N& own(std::shared_ptr<N>& node, Edit edit) {
    if (!node || node->edit != edit) {
      node = node ? std::make_shared<N>(*node) : std::make_shared<N>();
      node->edit = edit;
    }
    return *node;
  }

  Leaf& own_leaf(std::size_t hash, Edit edit) {
    Branch& branch = own(own(root_, edit).children[hash % kFanout], edit);
    return own(branch.children[hash / kFanout % kFanout], edit);
  }

  std::shared_ptr<Root> root_;
  std::size_t size_ = 0;
};

}  // namespace cortexflow::state
