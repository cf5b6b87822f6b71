// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "agent/base/result.h"

namespace cortexflow {

// Renames a file that can't be understood to ".broken"; says whether that was done, in words.
inline std::string put_aside(const std::string& path) {
  const auto aside = path + ".broken";
  if (std::rename(path.c_str(), aside.c_str()) == 0) return fmt::format("the file is put aside as {}", aside);
  return fmt::format("and {} can't be put aside: {}", path, std::strerror(errno));
}

}  // namespace cortexflow
