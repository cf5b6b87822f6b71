// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace cortexflow::flow {

// `text` with every octet outside 0x20..0x7e as "?".  Process and cgroup names are chosen by whoever runs them: they
// must neither steer a terminal nor break JSON and the metrics' text, which are UTF-8.
std::string printable(std::string text);

}  // namespace cortexflow::flow
