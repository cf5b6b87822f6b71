// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/redirect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "agent/kernel/pinned_maps.h"
#include "redirect.skel.h"

namespace cortexflow::kernel {
namespace {

constexpr std::string_view kOwn = "redirect_";

std::string pins_below(const std::string& pin_path, int interface) {
  return fmt::format("{}/{}if{}", pin_path, kOwn, interface);
}

bool is_own(const bpf_map* map) { return std::string_view(bpf_map__name(map)).starts_with(kOwn); }

constexpr std::array<const char*, CF_REDIRECT_V_MAX> kVerdicts{"other",           "not_service",
                                                               "malformed",       "fragment_unknown",
                                                               "opened",          "forwarded",
                                                               "reversed",        "hairpin",
                                                               "fragment",        "icmp_error",
                                                               "refused_empty",   "refused_breaker",
                                                               "refused_lost",    "refused_unreachable",
                                                               "refused_unknown", "refused_no_port",
                                                               "refused_full",    "dropped"};

}  // namespace

const char* redirect_verdict_name(std::size_t verdict) { return kVerdicts.at(verdict); }

Redirect::Redirect(RedirectOptions options, InterfaceWatch watch)
    : options_(std::move(options)), watch_(std::move(watch)) {}

Result<std::unique_ptr<Redirect>> Redirect::open(const RedirectOptions& options, const ServiceTables& tables) {
  auto watch = InterfaceWatch::open(Watched::kInterfaces);
  if (!watch) return tl::make_unexpected(std::move(watch.error()));
  std::unique_ptr<Redirect> redirect(new Redirect(options, std::move(*watch)));
  if (auto loaded = redirect->load(tables); !loaded) return tl::make_unexpected(std::move(loaded.error()));
  const auto interfaces = InterfaceWatch::list();
  redirect->drop_strays(interfaces);
  for (const auto& interface : interfaces) {
    if (redirect->chosen(interface.name)) redirect->served_[interface.index] = redirect->serve(interface);
  }
  return redirect;
}

Result<void> Redirect::try_load() {
  redirect_bpf* skeleton = redirect_bpf__open_and_load();
  if (!skeleton) return fail_errno("the kernel refused the redirect programs", errno);
  redirect_bpf__destroy(skeleton);
  return {};
}

Redirect::~Redirect() {
  if (!options_.keep_on_exit) remove_pins();
  redirect_bpf__destroy(skeleton_);
}

Result<void> Redirect::load(const ServiceTables& tables) {
  skeleton_ = redirect_bpf__open();
  if (!skeleton_) return fail_errno("cannot open the redirect programs", errno);
  std::vector<bpf_map*> own;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (bpf_map__is_internal(map)) continue;
    if (is_own(map)) {
      own.push_back(map);
    } else if (const int error = bpf_map__reuse_fd(map, tables.fd(bpf_map__name(map))); error != 0) {
      return fail_errno(fmt::format("cannot share {}", bpf_map__name(map)), -error);
    }
  }
  // Flows name backends by number: with other service tables they mean nothing.
  const bool adopted = tables.adopted() && reuse_pinned_maps(own, options_.pin_path);
  if (const int error = redirect_bpf__load(skeleton_); error != 0) {
    return fail_errno("the kernel refused the redirect programs", -error,
                      "run with --log-level debug for the verifier's words");
  }
  return adopted ? Result<void>() : pin_maps(own, options_.pin_path);
}

bool Redirect::chosen(const std::string& interface) const {
  return std::any_of(options_.interfaces.begin(), options_.interfaces.end(),
                     [&](const auto& pattern) { return fnmatch(pattern.c_str(), interface.c_str(), 0) == 0; });
}

std::string Redirect::pins_of(int interface) const { return pins_below(options_.pin_path, interface); }

void Redirect::detach(int interface, const std::string& pin_path) {
  detach_tc(interface, TcUser::kRedirect, pins_below(pin_path, interface));
}

Redirect::Interface Redirect::serve(const NetworkInterface& interface) {
  Interface out;
  out.name = interface.name;
  if (served_.size() >= kRedirectInterfacesMax) {
    out.problem = fmt::format("{} interfaces are served already", kRedirectInterfacesMax);
  } else if (!is_ethernet(interface.name)) {
    out.problem = "no Ethernet interface";
  } else {
    const TcPrograms programs{TcUser::kRedirect, bpf_program__fd(skeleton_->progs.redirect_from_workload),
                              bpf_program__fd(skeleton_->progs.redirect_to_workload)};
    auto hook = attach_tc(interface.index, programs, pins_of(interface.index));
    if (hook) {
      out.hook = *hook;
    } else {
      out.problem = hook.error().to_string();
    }
  }
  return out;
}

std::vector<Error> Redirect::poll() {
  std::vector<Error> errors;
  if (!watch_.changed()) return errors;
  std::map<int, NetworkInterface> now;
  for (auto& interface : InterfaceWatch::list()) {
    if (chosen(interface.name)) now[interface.index] = std::move(interface);
  }
  const std::lock_guard lock(mutex_);
  for (auto one = served_.begin(); one != served_.end();) {
    const auto found = now.find(one->first);
    if (found != now.end() && found->second.name == one->second.name) {
      ++one;
      continue;
    }
    if (found == now.end()) detach_tc(one->first, TcUser::kRedirect, pins_of(one->first));
    one = served_.erase(one);
  }
  for (const auto& [index, interface] : now) {
    if (served_.contains(index)) continue;
    auto served = serve(interface);
    if (!served.problem.empty()) {
      errors.push_back(Error{fmt::format("{} is not served: {}", served.name, served.problem), {}});
    }
    served_[index] = std::move(served);
  }
  return errors;
}

void Redirect::expire(std::chrono::nanoseconds now) {
  constexpr std::size_t kEthernet = 14;  // BPF_PROG_TEST_RUN wants one
  constexpr int kTickShift = 30;
  const int live = bpf_map__fd(skeleton_->maps.redirect_live);
  const int program = bpf_program__fd(skeleton_->progs.redirect_expire);
  std::vector<cf_redirect_flow> flows;  // before any is taken out: a walk starts again where an entry vanishes
  cf_redirect_flow key{}, next{};
  for (const void* at = nullptr; flows.size() < CF_REDIRECT_LIVE_MAX && bpf_map_get_next_key(live, at, &next) == 0;
       at = &key) {
    key = next;
    flows.push_back(key);
  }
  for (const auto& flow : flows) {
    const cf_redirect_expiry expiry{flow, static_cast<__u32>(now.count() >> kTickShift)};
    std::array<char, kEthernet + sizeof expiry> frame{};
    std::memcpy(frame.data() + kEthernet, &expiry, sizeof expiry);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = frame.data();
    options.data_size_in = frame.size();
    bpf_prog_test_run_opts(program, &options);
  }
}

// What an agent before left at interfaces that are not chosen any more, or are gone.
void Redirect::drop_strays(const std::vector<NetworkInterface>& interfaces) {
  for (const auto& interface : interfaces) {
    if (!chosen(interface.name)) detach_tc(interface.index, TcUser::kRedirect, pins_of(interface.index));
  }
  std::error_code ignored;
  std::vector<std::filesystem::path> gone;
  for (const auto& file : std::filesystem::directory_iterator(options_.pin_path, ignored)) {
    const auto name = file.path().filename().string();
    if (!name.starts_with(std::string(kOwn) + "if")) continue;
    const auto is_this = [&](const auto& one) { return file.path().string().starts_with(pins_of(one.index) + "_"); };
    if (std::none_of(interfaces.begin(), interfaces.end(), is_this)) gone.push_back(file.path());
  }
  for (const auto& path : gone) std::filesystem::remove(path, ignored);
}

void Redirect::remove_pins() {
  if (!skeleton_) return;
  for (const auto& [index, interface] : served_) detach_tc(index, TcUser::kRedirect, pins_of(index));
  std::error_code ignored;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (is_own(map)) std::filesystem::remove(fmt::format("{}/{}", options_.pin_path, bpf_map__name(map)), ignored);
  }
}

std::vector<Redirect::Interface> Redirect::interfaces() const {
  const std::lock_guard lock(mutex_);
  std::vector<Interface> out;
  out.reserve(served_.size());
  for (const auto& [index, interface] : served_) out.push_back(interface);
  return out;
}

std::array<std::uint64_t, CF_REDIRECT_V_MAX> Redirect::verdicts() const {
  std::array<std::uint64_t, CF_REDIRECT_V_MAX> sums{};
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (__u32 verdict = 0; verdict < CF_REDIRECT_V_MAX; ++verdict) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.redirect_verdicts), &verdict, per_cpu.data()) != 0) continue;
    for (const auto value : per_cpu) sums[verdict] += value;
  }
  return sums;
}

std::vector<MapInfo> Redirect::maps() const {
  std::vector<MapInfo> out;
  for (const bpf_map* map :
       {skeleton_->maps.redirect_flows, skeleton_->maps.redirect_live, skeleton_->maps.redirect_parts}) {
    const std::uint64_t max = bpf_map__max_entries(map);
    out.push_back({bpf_map__name(map), count_entries(bpf_map__fd(map), bpf_map__key_size(map), max), max});
  }
  return out;
}

std::vector<ProgramInfo> Redirect::programs() const {
  std::vector<ProgramInfo> out;
  for (const bpf_program* program : {skeleton_->progs.redirect_from_workload, skeleton_->progs.redirect_to_workload}) {
    out.push_back(describe_program(bpf_program__fd(program)));
    for (const auto& interface : interfaces()) {
      if (!interface.problem.empty()) continue;
      out.back().attached_to += (out.back().attached_to.empty() ? "" : ",") + interface.name;
    }
    out.back().pin = options_.pin_path + "/" + std::string(kOwn) + "if*";
  }
  return out;
}

}  // namespace cortexflow::kernel
