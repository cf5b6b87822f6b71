// SPDX-License-Identifier: Apache-2.0
// What a source of configuration says: objects that came, changed or went, and what it could not use.  The manifest
// directories fill it; whatever else becomes a source says the same.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/model/authorization_policy.h"
#include "agent/model/deny_list.h"
#include "agent/model/network_policy.h"
#include "agent/model/service.h"

namespace cortexflow::model {

enum class Kind : std::uint8_t {
  kService,
  kEndpointSlice,
  kPod,
  kNamespace,
  kTrafficPolicy,
  kDenyList,
  kAuthorizationPolicy,
  kNetworkPolicy,
  kNode
};

// "Service"
[[nodiscard]] std::string_view kind_name(Kind kind);
[[nodiscard]] std::optional<Kind> parse_kind(std::string_view name);

struct ObjectKey {
  Kind kind{};
  ObjectName name;
  auto operator<=>(const ObjectKey&) const = default;
  // "Service shop/cart", "Namespace shop"
  [[nodiscard]] std::string to_string() const;
};

// In the order of Kind.  Never null.
using Object =
    std::variant<std::shared_ptr<const Service>, std::shared_ptr<const EndpointSlice>, std::shared_ptr<const Pod>,
                 std::shared_ptr<const Namespace>, std::shared_ptr<const TrafficPolicy>,
                 std::shared_ptr<const DenyList>, std::shared_ptr<const AuthorizationPolicy>,
                 std::shared_ptr<const NetworkPolicy>, std::shared_ptr<const Node>>;

[[nodiscard]] ObjectKey key_of(const Object& object);
[[nodiscard]] bool same_value(const Object& one, const Object& other);

struct Change {
  ObjectKey key;
  std::optional<Object> object;  // none: it went
};

// Something that was not used, and why.
struct Refusal {
  std::string source;      // "manifests"
  std::string file;        // empty: not known
  std::uint32_t line = 0;  // from 1; 0: the whole file
  std::string object;      // "Service shop/cart", as far as it could be read
  std::string field;       // "spec.ports[0].port"; empty: the whole
  std::string reason;      // what was expected, and what was there
  bool operator==(const Refusal&) const = default;
  // "shop.yaml:12: Service shop/cart: spec.ports[0].port: expected ..."
  [[nodiscard]] std::string to_string() const;
};

// What nobody knows: objects whose documents can't be used and never could, since the source was opened.
struct Unread {
  bool anything = false;  // a directory or a document that does not tell its object: any object may be meant
  std::set<ObjectKey> objects;
  std::set<ObjectKey> outward;  // of `objects`: AuthorizationPolicies whose direction is egress, or can't be read
  [[nodiscard]] bool empty() const { return !anything && objects.empty(); }
  void add(const Unread& more) {
    anything = anything || more.anything;
    objects.insert(more.objects.begin(), more.objects.end());
    outward.insert(more.outward.begin(), more.outward.end());
  }
};

// Documents of a kind that the mesh has no use for.
struct IgnoredKind {
  std::string kind;  // "apps/v1 Deployment"
  std::uint32_t documents = 0;
  std::string file;  // of the first
  std::uint32_t line = 0;
  bool operator==(const IgnoredKind&) const = default;
};

struct SourceUpdate {
  std::vector<Change> changes;       // since the update before; each key once
  std::vector<Refusal> refusals;     // all that stand now
  std::vector<IgnoredKind> ignored;  // all that stand now, by kind
  std::uint64_t refused = 0;         // how many refusals stand; more than `refusals` has when that list is full
  Unread unread;                     // now
};

}  // namespace cortexflow::model
