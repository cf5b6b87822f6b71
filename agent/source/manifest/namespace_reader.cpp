// SPDX-License-Identifier: Apache-2.0
// core/v1 Namespace.
#include "agent/source/manifest/metadata.h"
#include "agent/source/manifest/object_readers.h"

namespace cortexflow::source {

model::Namespace read_namespace(const Field& object) {
  Metadata metadata = read_metadata(object, NameRule::kDns1123Label, false);
  metadata.labels["kubernetes.io/metadata.name"] = metadata.name.name;  // as the API server sets it
  return {std::move(metadata.name.name), std::move(metadata.labels)};
}

}  // namespace cortexflow::source
