// SPDX-License-Identifier: Apache-2.0
#include "identity/kept_text.h"

#include <sys/stat.h>

#include "agent/base/replace_file.h"
#include "identity/small_file.h"

namespace cortexflow::identity {

Result<std::optional<Secret>> KeptFile::read() const {
  struct stat status{};
  if (stat(path_.c_str(), &status) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno(fmt::format("cannot read {}", path_), errno);
  }
  auto text = read_small_file(path_, Privacy::kOwner);
  if (!text) return tl::make_unexpected(std::move(text.error()));
  return std::optional(std::move(*text));
}

Result<void> KeptFile::replace(std::string_view text) { return replace_file(path_, text); }

}  // namespace cortexflow::identity
