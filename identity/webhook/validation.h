// SPDX-License-Identifier: Apache-2.0
// What the agents would say of an object, said before it is kept: by their own readers, in their own words.
#pragma once

#include <string>
#include <vector>

#include "identity/webhook/admission_review.h"

namespace cortexflow::identity {

// Why no agent would use an object of a kind of our own; empty: they would, or it is none, or an update leaves what
// agents read as it was (or else nobody could take a finalizer off an object that came while nobody was asked).
[[nodiscard]] std::string refusal_of(const AdmissionRequest& request);

// What of an object is not used, and does no more harm than that: a pod's annotations of ours that nobody reads, or
// that agents refuse, and kinds of our group that they don't know.
[[nodiscard]] std::vector<std::string> warnings_of(const AdmissionRequest& request);

}  // namespace cortexflow::identity
