/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What every program starts with: the kernel's types, libbpf's macros, constants that are macros in the kernel. */
#ifndef CORTEXFLOW_LIB_BPF_H
#define CORTEXFLOW_LIB_BPF_H

#include <vmlinux.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define ETH_P_IP   0x0800
#define ETH_P_IPV6 0x86DD

/*
 * `value`, of which the verifier then knows nothing: where paths that differ by a flag meet, it goes on with one of
 * them instead of with each.  `word` is 32 bits of the program's context or stack that nobody writes meanwhile: read
 * twice, it cancels out.
 */
#define FORGOTTEN(value, word) ((value) + *(const volatile __u32 *)&(word) - *(const volatile __u32 *)&(word))

/* What a cgroup_skb or sock_addr program answers to let the traffic pass: here, always. */
#define CF_PASS 1

#endif
