// SPDX-License-Identifier: Apache-2.0
#include "cli/dump.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "agent/source/kubernetes/child.h"
#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/redact.h"

namespace cortexflow::cli {

using nlohmann::ordered_json;

namespace {

constexpr std::size_t kPackedASecond = 5 << 20;  // octets; a slow machine's gzip

}  // namespace

Result<Dump> Dump::open(const std::string& name, std::size_t octets_max, Clock::time_point until) {
  umask(077);
  const char* temporary = std::getenv("TMPDIR");
  std::string pattern =
      std::string(temporary != nullptr && *temporary != 0 ? temporary : "/tmp") + "/cfcli-sysdump-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return fail_errno(fmt::format("cannot make {}", pattern), errno);
  Dump out;
  out.directory_ = pattern;
  out.name_ = name;
  out.octets_left_ = octets_max;
  out.until_ = until;
  return out;
}

Dump::Dump(Dump&& other) noexcept
    : directory_(std::exchange(other.directory_, {})),
      name_(std::move(other.name_)),
      octets_left_(other.octets_left_),
      written_(other.written_),
      until_(other.until_),
      parts_(other.parts_),
      missing_(std::move(other.missing_)) {}

Dump::~Dump() {
  std::error_code error;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, error);
}

void Dump::miss(const std::string& path, const std::string& why) {
  const std::lock_guard lock(mutex_);
  missing_.push_back(fmt::format("{}: {}", path, redacted(why)));
}

void Dump::write(const std::string& path, std::string text) {
  // Nodes and namespaces are in it, whose names are others' words.
  const std::filesystem::path below(path);
  if (below.is_absolute() || std::find(below.begin(), below.end(), "..") != below.end()) {
    return miss(path, "a name that leads out of the dump");
  }
  if (text.size() > kPartMax) {
    miss(path, fmt::format("{} of {} octets are left out", text.size() - kPartMax, text.size()));
    text.resize(kPartMax);
  }
  {
    const std::lock_guard lock(mutex_);
    if (text.size() > octets_left_) {
      missing_.push_back(path + ": the dump is as large as it may be");
      return;
    }
    octets_left_ -= text.size();
    written_ += text.size();
    ++parts_;
  }
  const auto file = std::filesystem::path(directory_) / name_ / path;
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  std::ofstream out(file, std::ios::binary);
  out << text;
  if (!out.flush()) miss(path, "it could not be written: is the disk full?");
}

void Dump::add(const std::string& path, const Result<ordered_json>& document) {
  if (!document) return miss(path, document.error().to_string());
  auto shown = *document;
  redact(shown);
  write(path, json(shown, 1) + "\n");
}

void Dump::add_text(const std::string& path, const Result<std::string>& text) {
  if (!text) return miss(path, text.error().to_string());
  write(path, redacted(*text));
}

bool Dump::in_time(const std::string& path) {
  if (!interrupted() && Clock::now() < until_) return true;
  miss(path, interrupted() ? "it was interrupted" : "there was no more time: --timeout");
  return false;
}

void Dump::collect(const std::string& path, const std::function<Result<ordered_json>()>& get) {
  if (!in_time(path)) return;
  try {
    add(path, get());
  } catch (const ordered_json::exception&) {
    add(path, tl::make_unexpected(Client::not_understood()));
  } catch (const std::exception& error) {  // no memory, say: what there is makes a dump all the same
    miss(path, error.what());
  }
}

void Dump::collect_text(const std::string& path, const std::function<Result<std::string>()>& get) {
  if (!in_time(path)) return;
  try {
    add_text(path, get());
  } catch (const ordered_json::exception&) {
    add_text(path, tl::make_unexpected(Client::not_understood()));
  } catch (const std::exception& error) {
    miss(path, error.what());
  }
}

Result<void> Dump::pack(const std::string& file) {
  std::string words;
  for (const auto& one : missing_) words += one + "\n";
  octets_left_ += words.size();  // it is always there
  write("missing.txt", words.empty() ? "nothing is missing\n" : words);
  // As a new file: one that is there may be others' to read.
  const auto unfinished = file + ".new";
  std::error_code error;
  std::filesystem::remove(unfinished, error);
  const std::chrono::seconds pack_max(60 + written_ / kPackedASecond);
  const auto packed = source::child_output({"tar", "--force-local", "-C", directory_, "-czf", unfinished, name_}, {},
                                           pack_max, 1 << 16);
  if (packed) std::filesystem::rename(unfinished, file, error);
  if (packed && !error) return {};
  const auto why = packed ? fmt::format("cannot write {}: {}", file, error.message())
                          : fmt::format("tar {}", packed.error().message);
  std::filesystem::remove(unfinished, error);
  return tl::make_unexpected(
      Error{why, fmt::format("can {} be written, with room for the archive? --max-size makes it smaller", file)});
}

}  // namespace cortexflow::cli
