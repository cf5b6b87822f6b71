// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/manifest_source.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "agent/source/manifest/file_text.h"

namespace cortexflow::source {

Result<ManifestSource> ManifestSource::open(std::vector<std::string> directories) {
  auto watch = DirectoryWatch::open(std::move(directories));
  if (!watch) return tl::make_unexpected(std::move(watch.error()));
  return ManifestSource(std::move(*watch));
}

std::optional<model::SourceUpdate> ManifestSource::poll(Time now) {
  watch_.drain(now);
  const DirectoryWatch::Changed changed = watch_.take(now);
  if (changed.directories.empty() && changed.files.empty()) return std::nullopt;
  Before before;
  for (const std::size_t directory : changed.directories) read_directory(directory, before, now);
  for (const FileName& file : changed.files) read_file(file, Found::kChanged, before, now);
  return update(before);
}

void ManifestSource::read_directory(std::size_t directory, Before& before, Time now) {
  const std::string& path = watch_.directories()[directory];
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(path.c_str()), closedir);
  if (!listing) {
    missing_[directory] = fmt::format("expected a directory: {}", std::strerror(errno));
    return;
  }
  missing_.erase(directory);
  std::set<std::string> names;
  std::set<std::string> links;
  while (const dirent* entry = readdir(listing.get())) {
    if (!is_manifest_name(entry->d_name) || entry->d_type == DT_DIR) continue;
    if (names.size() == kDirectoryFilesMax) {
      missing_[directory] = fmt::format("expected no more than {} files; the rest is not read", kDirectoryFilesMax);
      break;
    }
    names.insert(entry->d_name);
    if (entry->d_type == DT_LNK) links.insert(entry->d_name);
  }
  watch_.follow(directory, std::move(links));
  std::vector<FileName> gone;
  for (auto at = files_.lower_bound({directory, ""}); at != files_.end() && at->first.directory == directory; ++at) {
    if (!names.contains(at->first.name)) gone.push_back(at->first);
  }
  for (const FileName& file : gone) forget_file(file, before);
  for (const std::string& name : names) read_file({directory, name}, Found::kListed, before, now);
}

void ManifestSource::read_file(const FileName& name, Found found, Before& before, Time now) {
  const std::string& directory = watch_.directories()[name.directory];
  const std::string path = directory + (directory.ends_with('/') ? "" : "/") + name.name;
  const auto text = read_text(path, kFileOctetsMax);
  watch_.drain(now);
  if (watch_.is_being_written(name)) {
    if (found == Found::kChanged || files_.contains(name)) return;
    auto& unread = files_[name] = std::make_unique<ManifestFile>(path);
    unread->refuse("expected a file that is closed; somebody writes it");
    return note(*unread);
  }
  if (text && !*text) {
    // Where the directory has gone too, its files stay: see the head of manifest_source.h.
    if (access(directory.c_str(), F_OK) == 0) return forget_file(name, before);
    missing_[name.directory] = fmt::format("expected a directory: {}", std::strerror(errno));
    return;
  }
  auto& file = files_[name];
  bool may_be_written = false;
  if (text && (*text)->empty()) {
    // Emptied a moment ago, whoever does it may not have been heard of yet.
    const bool was_more = file && !file->objects().empty() && !emptied_.contains(name);
    may_be_written = was_more || (found == Found::kListed && !file);
    if (may_be_written) watch_.again(name, now + (was_more ? DirectoryWatch::kWriteQuiet : kEmptyFor));
    if (was_more) emptied_.insert(name);
  } else {
    emptied_.erase(name);
  }
  if (!file) file = std::make_unique<ManifestFile>(path);
  if (text) {
    const bool unfinished = may_be_written || watch_.is_open(name);
    replaced(*file, file->read(**text, unfinished ? ManifestFile::Text::kUnfinished : ManifestFile::Text::kWhole),
             before);
  } else {
    file->refuse(text.error().to_string());
  }
  note(*file);
}

void ManifestSource::note(const ManifestFile& file) {
  if (file.refusals().empty() && file.ignored().empty()) {
    noted_.erase(&file);
  } else {
    noted_.insert(&file);
  }
}

void ManifestSource::forget_file(const FileName& name, Before& before) {
  const auto at = files_.find(name);
  if (at == files_.end()) return;
  replaced(*at->second, at->second->read(""), before);
  noted_.erase(at->second.get());
  emptied_.erase(name);
  files_.erase(at);
}

// The file has its new objects already; the index still knows the old.
void ManifestSource::replaced(const ManifestFile& file, const ManifestFile::Objects& old, Before& before) {
  const auto was = [&](const model::ObjectKey& key) -> std::optional<model::Object> {
    for (const ManifestFile* holder : candidates(key)) {
      const auto& objects = holder == &file ? old : holder->objects();
      if (const auto at = objects.find(key); at != objects.end()) return at->second.object;
    }
    return std::nullopt;
  };
  for (const auto& [key, held] : old) {
    const auto now = file.objects().find(key);
    if (now != file.objects().end() && now->second.object == held.object) continue;
    if (!before.contains(key)) before.emplace(key, was(key));
    if (now == file.objects().end()) unindex(key, &file);
  }
  for (const auto& [key, held] : file.objects()) {
    if (old.contains(key)) continue;
    if (!before.contains(key)) before.emplace(key, was(key));
    index(key, &file);
  }
}

void ManifestSource::index(const model::ObjectKey& key, const ManifestFile* file) {
  index_.emplace(hash_of(key), file);
  if (holders(key).size() > 1) contested_.insert(key);
}

void ManifestSource::unindex(const model::ObjectKey& key, const ManifestFile* file) {
  const auto [first, last] = index_.equal_range(hash_of(key));
  const auto at = std::find_if(first, last, [&](const auto& entry) { return entry.second == file; });
  if (at != last) index_.erase(at);
  if (holders(key).size() < 2) contested_.erase(key);
}

}  // namespace cortexflow::source
