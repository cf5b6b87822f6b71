// SPDX-License-Identifier: Apache-2.0
// What the agent makes of one object of an API server.  Who asks it before the object is there hears the same.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "agent/model/object.h"
#include "agent/source/kubernetes/resource.h"
#include "agent/source/manifest/document_reader.h"

namespace cortexflow::source {

inline constexpr const char* kKubernetesSource = "kubernetes";  // Refusal::source

struct ObjectReading {
  ReadDocument read;
  std::optional<model::Refusal> refusal;  // of the first that is refused
};

// `object` is normalized; `name` is what it is known by.
[[nodiscard]] ObjectReading read_object(const nlohmann::json& object, model::Kind kind, const model::ObjectName& name);

// The kind that agents follow, in whatever version of its group; null: they don't.
[[nodiscard]] const Resource* find_resource(std::string_view group, std::string_view kind);

}  // namespace cortexflow::source
