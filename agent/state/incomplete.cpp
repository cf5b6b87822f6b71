// SPDX-License-Identifier: Apache-2.0
#include "agent/state/incomplete.h"

#include <algorithm>

namespace cortexflow::state {

bool is_unread(const model::Unread& unread, const model::ObjectKey& object) {
  return unread.anything || unread.objects.contains(object);
}

bool may_lack(const model::Unread& unread, const model::ObjectName& service) {
  if (unread.anything) return true;
  return std::any_of(unread.objects.begin(), unread.objects.end(), [&](const model::ObjectKey& key) {
    switch (key.kind) {
      case model::Kind::kService:
        return key.name == service;
      case model::Kind::kEndpointSlice:
      case model::Kind::kPod:
      case model::Kind::kTrafficPolicy:
        return key.name.ns == service.ns;
      case model::Kind::kNamespace:
        return key.name.name == service.ns;
      case model::Kind::kDenyList:
      case model::Kind::kAuthorizationPolicy:
      case model::Kind::kNetworkPolicy:
      case model::Kind::kNode:
        break;
    }
    return false;
  });
}

}  // namespace cortexflow::state
