// SPDX-License-Identifier: Apache-2.0
#include "agent/source/kubernetes/object_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/source/kubernetes/json_text.h"
#include "agent/source/kubernetes/resource.h"

namespace cortexflow::source {
namespace {

using nlohmann::json;

constexpr int kFormat = 2;
constexpr std::size_t kLinesSpare = 10'000;
constexpr std::size_t kBufferMax = 1 << 20;

std::optional<std::size_t> resource_named(const json& kind) {
  for (std::size_t i = 0; i < resources().size(); ++i) {
    if (kind == model::kind_name(resources()[i].kind)) return i;
  }
  return std::nullopt;
}

json line_of(std::size_t resource, const model::ObjectName& name) {
  return {{"k", model::kind_name(resources()[resource].kind)}, {"ns", name.ns}, {"n", name.name}};
}

std::string text_of_line(const json& line) { return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

bool writes_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace

Result<ObjectCache> ObjectCache::open(const std::string& path, const std::string& server) {
  ObjectCache cache(path, server);
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  cache.file_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!cache.file_) return fail_errno("cannot write " + path, errno, "check state_dir");
  return cache;
}

// A file of this server, with nothing in it.
Result<void> ObjectCache::begin() {
  if (ftruncate(file_.get(), 0) != 0) return fail_errno("cannot shorten " + path_, errno);
  buffer_.clear();
  end_ = lines_ = 0;
  complete_ = false;
  append(text_of_line({{"format", kFormat}, {"server", server_}}));
  return {};
}

void ObjectCache::load(const std::function<void(const Line&, json&)>& put,
                       const std::function<void(std::size_t, const model::ObjectName&)>& erase) {
  struct stat status{};
  if (fstat(file_.get(), &status) == 0) heard_ = WallTime(std::chrono::seconds(status.st_mtim.tv_sec));
  std::ifstream in(path_);
  std::string text;
  if (std::getline(in, text)) {
    const auto head = parse_json(text);
    const bool ours = head && head->is_object() && head->value("format", json()) == kFormat &&
                      head->value("server", json()) == server_;
    if (ours && !in.eof()) end_ = text.size() + 1;
  }
  while (end_ > 0 && std::getline(in, text) && !in.eof()) {
    const std::uint64_t at = end_;
    end_ += text.size() + 1;
    ++lines_;
    auto line = parse_json(text);
    if (!line || !line->is_object()) continue;
    if (line->contains("complete")) complete_ = true;
    const auto resource = resource_named(line->value("k", json()));
    if (!resource || !line->value("ns", json()).is_string() || !line->value("n", json()).is_string()) continue;
    const model::ObjectName name{(*line)["ns"], (*line)["n"]};
    if (!line->contains("o") || !(*line)["o"].is_object()) {
      erase(*resource, name);
    } else {
      const auto version = line->value("v", json());
      put({*resource, name, version.is_string() ? version.get<std::string>() : "", at}, (*line)["o"]);
    }
  }
  in.close();
  const bool torn = end_ > 0 && ftruncate(file_.get(), static_cast<off_t>(end_)) != 0;
  if (end_ > 0 && !torn) return;
  if (auto begun = begin(); !begun) trouble_ = begun.error().to_string();
}

std::uint64_t ObjectCache::put(std::size_t resource, const model::ObjectName& name, const std::string& resource_version,
                               const json& object) {
  const std::uint64_t at = end_;
  auto line = line_of(resource, name);
  line["v"] = resource_version;
  line["o"] = object;
  append(text_of_line(line));
  return at;
}

void ObjectCache::erase(std::size_t resource, const model::ObjectName& name) {
  append(text_of_line(line_of(resource, name)));
}

void ObjectCache::set_complete() {
  if (!complete_) append(text_of_line({{"complete", true}}));
  complete_ = true;
}

void ObjectCache::touch() { futimens(file_.get(), nullptr); }

void ObjectCache::append(const std::string& line) {
  if (!trouble_.empty()) return;
  buffer_ += line;
  end_ += line.size();
  ++lines_;
  if (buffer_.size() >= kBufferMax) flush();
}

void ObjectCache::flush() {
  if (buffer_.empty() || !trouble_.empty()) return;
  if (!writes_all(file_.get(), buffer_)) {
    trouble_ = fail_errno("cannot write " + path_, errno,
                          "free space; what an agent without its server would start with is older from now on")
                   .value()
                   .to_string();
  }
  buffer_.clear();
}

bool ObjectCache::wants_rewrite(std::size_t live) const { return lines_ > 2 * live + kLinesSpare; }

void ObjectCache::rewrite(const std::vector<std::uint64_t*>& live) {
  flush();
  if (!trouble_.empty()) return;
  auto order = live;
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const std::string beside = path_ + ".new";
  ObjectCache fresh(path_, server_);
  fresh.file_ = Fd(::open(beside.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fresh.file_) return;  // it only grows
  if (!fresh.begin()) return;
  std::vector<std::uint64_t> places;
  places.reserve(order.size());
  std::ifstream in(path_);
  std::string text;
  for (const std::uint64_t* at : order) {
    in.seekg(static_cast<std::streamoff>(*at));
    if (!std::getline(in, text)) return;
    places.push_back(fresh.end_);
    fresh.append(text + "\n");
  }
  if (complete_) fresh.set_complete();
  fresh.flush();
  if (!fresh.trouble_.empty() || std::rename(beside.c_str(), path_.c_str()) != 0) return;
  for (std::size_t i = 0; i < order.size(); ++i) *order[i] = places[i];
  fresh.heard_ = heard_;
  *this = std::move(fresh);
}

}  // namespace cortexflow::source
