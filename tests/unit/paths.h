// SPDX-License-Identifier: Apache-2.0
// Where tests find what is beside them.  In a source of its own, so that nothing else is compiled anew in another
// clone.
#pragma once

namespace cortexflow::test {

extern const char* const kExamples;  // directories
extern const char* const kCrds;
extern const char* const kCfcli;  // a program

}  // namespace cortexflow::test
