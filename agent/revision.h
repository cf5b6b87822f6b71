// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace cortexflow {

// The commit that this was built from; "unknown" outside of a clone.  In a source of its own, so that a commit doesn't
// compile everything anew.
extern const char* const kRevision;

}  // namespace cortexflow
