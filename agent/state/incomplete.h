// SPDX-License-Identifier: Apache-2.0
// Which services may lack something, for what can't be read of the configuration.  Pure.
#pragma once

#include "agent/model/object.h"

namespace cortexflow::state {

// Nobody knows what its document says.
[[nodiscard]] bool is_unread(const model::Unread& unread, const model::ObjectKey& object);

// A Service's document is of that service; a slice's, a pod's or a policy's may be of any service of its namespace: the
// name alone doesn't tell.
[[nodiscard]] bool may_lack(const model::Unread& unread, const model::ObjectName& service);

}  // namespace cortexflow::state
