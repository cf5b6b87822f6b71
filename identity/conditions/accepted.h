// SPDX-License-Identifier: Apache-2.0
// The condition Accepted of an object of ours: that agents of this version read its manifest as it is written, or why
// they don't.  Not what any node has applied.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "agent/source/kubernetes/resource.h"

namespace cortexflow::identity {

inline constexpr const char* kAccepted = "Accepted";

// The condition that status.conditions has to get; null: what is there says it.  `object` is as the server sent it, and
// is normalized; `now` is RFC 3339.
[[nodiscard]] nlohmann::json condition_to_write(nlohmann::json& object, const source::Resource& resource,
                                                const model::ObjectName& name, const std::string& now);

// What is applied to the object's status (server-side apply): the server merges the list by type, so that conditions of
// others stay whoever writes meanwhile, and refuses it where the object is not of this resource version any more.
[[nodiscard]] nlohmann::json condition_apply(const nlohmann::json& condition, const source::ResourceVersion& version,
                                             const model::ObjectName& name, const std::string& resource_version);

}  // namespace cortexflow::identity
