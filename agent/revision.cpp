// SPDX-License-Identifier: Apache-2.0
#include "agent/revision.h"

namespace cortexflow {

const char* const kRevision = CORTEXFLOW_REVISION;

}  // namespace cortexflow
