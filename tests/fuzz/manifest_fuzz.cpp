// SPDX-License-Identifier: Apache-2.0
// Any octets as a manifest file, read twice with a change in between: no crash, lines within the file, texts that are
// printable, and nothing that was there goes because a document broke.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/source/manifest/manifest_file.h"

namespace {

using cortexflow::source::ManifestFile;

void require_printable(const std::string& text) {
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; })) std::abort();
}

void check(const ManifestFile& file, std::string_view text) {
  // YAML 1.1 also ends lines at CR, NEL, LS and PS: the last octets of these count, and a file may end within a line.
  const auto lines = 2 + std::count_if(text.begin(), text.end(), [](char c) {
                       return std::string_view("\n\r\x85\xa8\xa9").find(c) != std::string_view::npos;
                     });
  for (const auto& refusal : file.refusals()) {
    if (refusal.line == 0 || refusal.line > lines || refusal.reason.empty()) std::abort();
    require_printable(refusal.object);
    require_printable(refusal.field);
    require_printable(refusal.reason);
  }
  for (const auto& ignored : file.ignored()) require_printable(ignored.kind);
}

}  // namespace

// The first octet says: JSON or YAML.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  ManifestFile file(data[0] & 1 ? "a.json" : "a.yaml");
  (void)file.read(text);
  check(file, text);
  const auto whole = file.objects().size();
  const bool was_whole = file.refusals().empty();
  const std::string_view half = text.substr(0, text.size() / 2);
  (void)file.read(half);
  check(file, half);
  (void)file.read(text);
  check(file, text);
  if (was_whole && file.objects().size() != whole) std::abort();
  return 0;
}
