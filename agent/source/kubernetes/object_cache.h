// SPDX-License-Identifier: Apache-2.0
// What a server said last, on disk: for an agent that starts while the server is away.  A line an object or its end,
// appended as they come; written anew when most of it is out of date.  Nothing waits for the disk: what a crash of the
// machine takes is as old as the kernel's write-back.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/model/object.h"

namespace cortexflow::source {

class ObjectCache {
 public:
  using WallTime = std::chrono::system_clock::time_point;
  struct Line {
    std::size_t resource = 0;  // place in resources()
    model::ObjectName name;
    std::string resource_version;
    std::uint64_t at = 0;  // where it is in the file
  };

  // Nothing is there, or it is of another server: as if empty.  An error: it can't be written.
  static Result<ObjectCache> open(const std::string& path, const std::string& server);

  // All that is there, in its order; later ones replace earlier ones.  A torn last line is left out.
  void load(const std::function<void(const Line&, nlohmann::json& object)>& put,
            const std::function<void(std::size_t resource, const model::ObjectName&)>& erase);
  // All kinds were complete once, when it was written.
  [[nodiscard]] bool complete() const { return complete_; }
  // When the server was heard last.
  [[nodiscard]] WallTime heard() const { return heard_; }

  // Where the line is.
  std::uint64_t put(std::size_t resource, const model::ObjectName& name, const std::string& resource_version,
                    const nlohmann::json& object);
  void erase(std::size_t resource, const model::ObjectName& name);
  void set_complete();
  void touch();  // the server was heard
  void flush();  // to the kernel

  [[nodiscard]] bool wants_rewrite(std::size_t live) const;
  // Keeps the lines that are at these places, which become those in the new file.
  void rewrite(const std::vector<std::uint64_t*>& live);

  // Why it is not kept any more, in words; empty: it is.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  ObjectCache(std::string path, std::string server) : path_(std::move(path)), server_(std::move(server)) {}
  Result<void> begin();
  void append(const std::string& line);

  std::string path_, server_;
  Fd file_;
  std::string buffer_;
  std::uint64_t end_ = 0;  // of the file and buffer_
  std::size_t lines_ = 0;
  bool complete_ = false;
  WallTime heard_{};
  std::string trouble_;
};

}  // namespace cortexflow::source
