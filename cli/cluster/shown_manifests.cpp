// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/shown_manifests.h"

#include <sstream>
#include <vector>

namespace cortexflow::cli {
namespace {

constexpr const char* kLeftOut =
    "# data: left out here; what is in the cluster stays, else it is drawn when it is made";

void add_document(std::string& out, const std::vector<std::string>& lines) {
  bool secret = false;
  for (const auto& line : lines) secret = secret || line.starts_with("kind: Secret");
  bool in_data = false;
  for (const auto& line : lines) {
    if (secret && (line.starts_with("data:") || line.starts_with("stringData:"))) {
      in_data = true;
      out += std::string(kLeftOut) + "\n";
      continue;
    }
    in_data = in_data && (line.empty() || line.starts_with(' '));
    if (!in_data) out += line + "\n";
  }
}

}  // namespace

std::string shown_manifests(const std::string& manifests) {
  std::string out;
  std::vector<std::string> lines;
  std::istringstream text(manifests);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("---")) {
      add_document(out, lines);
      lines.clear();
    }
    lines.push_back(line);
  }
  add_document(out, lines);
  return out;
}

}  // namespace cortexflow::cli
