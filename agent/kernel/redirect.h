// SPDX-License-Identifier: Apache-2.0
// The redirect programs of bpf/mesh on the interfaces that the user chose, over the service tables.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/kernel/interface_watch.h"
#include "agent/kernel/introspect.h"
#include "agent/kernel/service_tables.h"
#include "agent/kernel/tc_hook.h"
#include "bpf/abi/redirect.h"

struct redirect_bpf;

namespace cortexflow::kernel {

inline constexpr std::size_t kRedirectInterfacesMax = 4096;

struct RedirectOptions {
  std::vector<std::string> interfaces;  // names, with the wildcards of the shell
  std::string pin_path;
  bool keep_on_exit = false;
};

class Redirect {
 public:
  // Loads the programs over the service tables, which have to outlive this, and over the flows that an agent before
  // left; attaches to every interface chosen.
  [[nodiscard]] static Result<std::unique_ptr<Redirect>> open(const RedirectOptions& options,
                                                              const ServiceTables& tables);
  [[nodiscard]] static Result<void> try_load();
  // Takes away what an agent that is gone left at an interface.
  static void detach(int interface, const std::string& pin_path);
  ~Redirect();
  Redirect(const Redirect&) = delete;
  Redirect& operator=(const Redirect&) = delete;

  [[nodiscard]] int fd() const { return watch_.fd(); }
  // Follows the interfaces that came and went.  To be called when fd() is readable; the errors are said once each.
  [[nodiscard]] std::vector<Error> poll();

  // Asked when this object goes, so that a start that fails leaves what it found.
  void set_keep_on_exit(bool keep) { options_.keep_on_exit = keep; }

  // Connections that ended without a word don't count as live for ever.  `now`: CLOCK_MONOTONIC.
  void expire(std::chrono::nanoseconds now);

  struct Interface {
    std::string name;
    TcHook hook = TcHook::kTcx;
    std::string problem;  // why it is not served; empty: it is
  };
  // Thread-safe from here on.
  [[nodiscard]] std::vector<Interface> interfaces() const;
  [[nodiscard]] std::array<std::uint64_t, CF_REDIRECT_V_MAX> verdicts() const;
  [[nodiscard]] std::vector<MapInfo> maps() const;
  [[nodiscard]] std::vector<ProgramInfo> programs() const;

 private:
  Redirect(RedirectOptions options, InterfaceWatch watch);
  [[nodiscard]] Result<void> load(const ServiceTables& tables);
  [[nodiscard]] bool chosen(const std::string& interface) const;
  [[nodiscard]] std::string pins_of(int interface) const;
  [[nodiscard]] Interface serve(const NetworkInterface& interface);
  void drop_strays(const std::vector<NetworkInterface>& interfaces);
  void remove_pins();

  RedirectOptions options_;
  InterfaceWatch watch_;
  redirect_bpf* skeleton_ = nullptr;
  mutable std::mutex mutex_;
  std::map<int, Interface> served_;  // by index; those with a problem too
};

// "opened", by enum cf_redirect_verdict
[[nodiscard]] const char* redirect_verdict_name(std::size_t verdict);

}  // namespace cortexflow::kernel
