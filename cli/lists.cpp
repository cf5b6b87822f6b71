// SPDX-License-Identifier: Apache-2.0
// workload list and bpf list.
#include "cli/gather.h"

namespace cortexflow::cli {
namespace {

void add_list(CLI::App& noun, Context& context, const std::string& help, const std::string& path, const Shown& shown) {
  auto* list = noun.add_subcommand("list", help);
  list->callback([&context, path, shown] {
    context.has_names = true;
    context.run = [&context, path, shown]() -> Result<void> {
      const auto gathered = gather(context, shown.key, path);
      if (!gathered) return tl::make_unexpected(gathered.error());
      return show_gathered(context, *gathered, shown);
    };
  });
}

}  // namespace

void add_workload(CLI::App& app, Context& context) {
  auto* workload = app.add_subcommand("workload", "who makes lookups")->require_subcommand(1);
  add_list(
      *workload, context, "workloads that made lookups", "/v1/workloads",
      {"workloads",
       {{"WORKLOAD", "/workload/name"}, {"LOOKUPS", "/lookups"}, {"FAILED", "/failed"}, {"LAST SEEN", "/last_seen"}},
       {{"POD", "/workload/pod"},
        {"CONTAINER", "/workload/container"},
        {"OWNER", "/workload/owner"},
        {"CGROUP", "/workload/cgroup_path"},
        {"POD UID", "/workload/pod_uid"},
        {"CONTAINER ID", "/workload/container_id"}},
       "/workload/name"});
}

void add_bpf(CLI::App& app, Context& context) {
  auto* bpf = app.add_subcommand("bpf", "programs in the kernel")->require_subcommand(1);
  add_list(*bpf, context, "programs, where they are attached, what they cost", "/v1/bpf",
           {"programs",
            {{"ID", "/id"}, {"PROGRAM", "/name"}, {"TYPE", "/type"}, {"ATTACHED TO", "/attached_to"}},
            {{"PIN", "/pin"},
             {"RUNS", "/run_count"},
             {"NANOSECONDS", "/run_time_ns"},
             {"INSTRUCTIONS", "/verified_instructions"}},
            "/name"});
}

}  // namespace cortexflow::cli
