// SPDX-License-Identifier: Apache-2.0
// What this machine's kernel offers, asked once before anything is loaded.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace cortexflow::kernel {

// libbpf's own words (the verifier's among them) go to standard error, or nowhere, which is its callers' wish.
void show_libbpf_messages(bool show);

// Checks what every program needs (BTF, the right to load); the error names the cause and the next step.
[[nodiscard]] Result<void> check_host();

// The cgroup v2 directory to observe: `configured` if given, else the mount that covers the whole machine, from
// /proc/self/mountinfo.
[[nodiscard]] Result<std::string> find_cgroup_root(const std::string& configured);

// Could prepare_pin_path() make it?  Changes nothing.
[[nodiscard]] Result<void> check_pin_path(const std::string& pin_path);

// Makes `pin_path` a directory of a BPF file system, mounting one at /sys/fs/bpf if there is none.
[[nodiscard]] Result<void> prepare_pin_path(const std::string& pin_path);

// "6.1.0-21-amd64"
[[nodiscard]] std::string kernel_release();

}  // namespace cortexflow::kernel
