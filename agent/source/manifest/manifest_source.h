// SPDX-License-Identifier: Apache-2.0
// Directories of Kubernetes manifests as a source of configuration: says what changed, and what was refused.
//
// An object that several files have is that of the first file by path.  A file that can't be read, a document that is
// broken and a directory that is missing leave the last good objects in use; a file that is gone takes its objects
// along.  A file that somebody has open to write says what is new, and takes nothing away before it is closed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/model/object.h"
#include "agent/source/manifest/directory_watch.h"
#include "agent/source/manifest/manifest_file.h"

namespace cortexflow::source {

inline constexpr const char* kManifestSource = "manifests";  // Refusal::source
inline constexpr std::size_t kDirectoryFilesMax = 65536;
// An empty file that is found so may be one that is being written: what an agent before had of it stays for so long.
inline constexpr std::chrono::seconds kEmptyFor{30};
inline constexpr std::size_t kRefusalsMax = 1000;  // listed; the rest is counted

class ManifestSource {
 public:
  using Time = DirectoryWatch::Time;

  static Result<ManifestSource> open(std::vector<std::string> directories);

  // When readable, and when due: poll().  Both change with each poll.
  [[nodiscard]] int fd() const { return watch_.fd(); }
  [[nodiscard]] std::optional<Time> due() const { return watch_.due(); }

  // Nothing: nothing was due.  The first one after open() has all objects.
  [[nodiscard]] std::optional<model::SourceUpdate> poll(Time now);

  struct Place {
    std::string file;
    std::uint32_t line = 0;
  };
  // Where the object that counts is written.
  [[nodiscard]] std::optional<Place> place_of(const model::ObjectKey& key) const;

 private:
  using FileName = DirectoryWatch::FileName;
  // What counted for a key before this update.
  using Before = std::map<model::ObjectKey, std::optional<model::Object>>;

  explicit ManifestSource(DirectoryWatch watch) : watch_(std::move(watch)) {}

  void read_directory(std::size_t directory, Before& before, Time now);
  enum class Found : std::uint8_t { kListed, kChanged };
  void read_file(const FileName& name, Found found, Before& before, Time now);
  void note(const ManifestFile& file);
  void forget_file(const FileName& name, Before& before);
  void replaced(const ManifestFile& file, const ManifestFile::Objects& old, Before& before);
  void index(const model::ObjectKey& key, const ManifestFile* file);
  void unindex(const model::ObjectKey& key, const ManifestFile* file);
  [[nodiscard]] static std::size_t hash_of(const model::ObjectKey& key);
  // Files that may have, or have, the key; by path.
  [[nodiscard]] std::vector<const ManifestFile*> candidates(const model::ObjectKey& key) const;
  [[nodiscard]] std::vector<const ManifestFile*> holders(const model::ObjectKey& key) const;
  [[nodiscard]] std::optional<model::Object> counts(const model::ObjectKey& key) const;
  [[nodiscard]] model::SourceUpdate update(const Before& before);
  [[nodiscard]] model::Unread unread() const;
  void list_refusals(model::SourceUpdate& update) const;

  DirectoryWatch watch_;
  std::map<FileName, std::unique_ptr<ManifestFile>> files_;
  std::unordered_multimap<std::size_t, const ManifestFile*> index_;  // by the key's hash: 40 octets an object
  std::set<model::ObjectKey> contested_;                             // that several files have
  std::map<std::size_t, std::string> missing_;                       // directories that can't be listed, and why
  std::set<FileName> emptied_;                                       // were found so once; it is looked again
  std::set<const ManifestFile*> noted_;                              // files that have refusals or ignored documents
};

}  // namespace cortexflow::source
