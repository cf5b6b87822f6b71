// SPDX-License-Identifier: Apache-2.0
// One file's objects, from one reading to the next: documents whose text is the same are not parsed again, and an
// object whose document can't be read any more stays as it was.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/model/object.h"
#include "agent/source/manifest/document_reader.h"

namespace cortexflow::source {

inline constexpr std::size_t kFileOctetsMax = 64 << 20;
inline constexpr std::size_t kFileDocumentsMax = 200'000;

class ManifestFile {
 public:
  struct Held {
    model::Object object;
    std::uint32_t line = 0;  // 0: kept from before, its document can't be found any more
  };
  using Objects = std::map<model::ObjectKey, Held>;

  explicit ManifestFile(std::string path) : path_(std::move(path)) {}

  // Whether the text is all of it: a file that somebody has open to write may be half of it, and takes nothing away.
  enum class Text : std::uint8_t { kWhole, kUnfinished };
  // Takes the file's new text.  Returns the objects that it had before.
  Objects read(std::string_view text, Text state = Text::kWhole);
  // The file is there and can't be read: its objects stay.
  void refuse(std::string reason);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const Objects& objects() const { return objects_; }
  [[nodiscard]] const std::vector<model::Refusal>& refusals() const { return refusals_; }
  // Beside refusals(); none: the document doesn't tell.
  [[nodiscard]] const std::vector<std::optional<model::ObjectKey>>& refused_keys() const { return refused_keys_; }
  [[nodiscard]] const std::set<model::ObjectKey>& outward() const { return outward_; }  // of them, as in model::Unread
  [[nodiscard]] const std::vector<ReadDocument::Ignored>& ignored() const { return ignored_; }

 private:
  struct Known {  // a document that was read
    std::size_t octets = 0;
    ReadDocument read;
  };
  using Documents = std::unordered_multimap<std::size_t, Known>;  // by the text's hash

  void place(const ReadDocument& document, std::uint32_t offset);
  void keep_last_good(Objects& before);

  std::string path_;
  Documents documents_;
  Objects objects_;
  std::vector<model::Refusal> refusals_;
  std::vector<std::optional<model::ObjectKey>> refused_keys_;  // beside refusals_
  std::set<model::ObjectKey> outward_;
  std::vector<ReadDocument::Ignored> ignored_;
};

}  // namespace cortexflow::source
