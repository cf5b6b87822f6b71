// SPDX-License-Identifier: Apache-2.0
// Keeps the roots in the webhook's configurations those of the mesh: at the start, when they change, and every kEvery,
// as an upgrade or an operator may have put others there.  One thread.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/base/result.h"
#include "agent/source/kubernetes/api_calls.h"

namespace cortexflow::identity {

class CaBundleKeeper {
 public:
  static constexpr std::chrono::seconds kEvery{10};

  // `name` is that of the MutatingWebhookConfiguration and of the ValidatingWebhookConfiguration; `roots` gives PEM,
  // and is asked by the thread.
  [[nodiscard]] static Result<std::unique_ptr<CaBundleKeeper>> start(source::ApiAccess access, std::string name,
                                                                     std::function<std::string()> roots);
  CaBundleKeeper(const CaBundleKeeper&) = delete;
  CaBundleKeeper& operator=(const CaBundleKeeper&) = delete;
  ~CaBundleKeeper();

  // The roots may be others now.  From any thread.
  void changed();

  struct Configuration {
    std::string kind;
    bool current = false;       // it had the roots when it was looked at last
    std::string problem{};      // why it has not, or nobody knows
    std::uint64_t written = 0;  // how often roots were put there
    std::uint64_t failed = 0;   // looks and writes
  };
  using Configurations = std::array<Configuration, 2>;
  [[nodiscard]] Configurations configurations() const;

 private:
  CaBundleKeeper(std::unique_ptr<source::ApiCalls> calls, std::string name, std::function<std::string()> roots)
      : calls_(std::move(calls)), name_(std::move(name)), roots_(std::move(roots)) {}
  void run();
  void look(std::size_t which, const std::string& roots);
  // How often it wrote: 0 or 1.
  [[nodiscard]] Result<std::uint64_t> make_current(const std::string& kind, const std::string& path,
                                                   const std::string& roots);

  const std::unique_ptr<source::ApiCalls> calls_;
  const std::string name_;
  const std::function<std::string()> roots_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool changed_ = true, stopping_ = false;
  Configurations configurations_{{{"MutatingWebhookConfiguration"}, {"ValidatingWebhookConfiguration"}}};
  std::thread thread_;
};

}  // namespace cortexflow::identity
