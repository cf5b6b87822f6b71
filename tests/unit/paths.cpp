// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/paths.h"

namespace cortexflow::test {

const char* const kExamples = CORTEXFLOW_EXAMPLES;
const char* const kCrds = CORTEXFLOW_CRDS;
const char* const kCfcli = CORTEXFLOW_CFCLI;

}  // namespace cortexflow::test
