// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/printable.h"

namespace cortexflow::flow {

std::string printable(std::string text) {
  for (char& c : text) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return text;
}

}  // namespace cortexflow::flow
