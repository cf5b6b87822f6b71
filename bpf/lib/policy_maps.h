/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The maps of authorization.  The agent writes those up to policy_blocks, and refuses in words what there is no room
 * for: a workload whose rules don't fit is closed, not open. */
#ifndef CORTEXFLOW_LIB_POLICY_MAPS_H
#define CORTEXFLOW_LIB_POLICY_MAPS_H

#include "bpf/lib/policy_sockets.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cf_policy_settings);
} policy_settings SEC(".maps");

/* Of `cfagent --close`; read while CF_POLICY_BOOT is set alone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cf_policy_boot);
} policy_boot SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_POLICY_LOCALS_MAX);
	__type(key, struct cf_policy_local);
	__type(value, __u64);
} policy_locals SEC(".maps");

struct cf_policy_address {
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_POLICY_ADDRESSES_MAX);
	__type(key, struct cf_policy_address);
	__type(value, __u64);
} policy_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_POLICY_RANGES_MAX);
	__type(key, struct cf_policy_range);
	__type(value, __u32);
} policy_ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_POLICY_TARGETS_MAX);
	__type(key, __u64);
	__type(value, struct cf_policy_target);
} policy_targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_POLICY_RULES_MAX);
	__type(key, struct cf_policy_rule_key);
	__type(value, struct cf_policy_rule);
} policy_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_POLICY_BLOCKS_MAX);
	__type(key, struct cf_policy_block_key);
	__type(value, struct cf_policy_rule);
} policy_blocks SEC(".maps");

struct policy_peer {
	__u64 cookie; /* of the UDP socket */
	__u8 address[16];
	__u16 port;
	__u16 pad[3];
};

struct policy_asked {
	__u64 generation;
	__u64 time_ns;
	__u64 asked; /* 1: the socket's owner sent first; 0: the peer did, and might */
};

/* Who spoke first, of UDP: an answer needs no permission.  One that is evicted is denied where no rule allows it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_POLICY_ASKED_MAX);
	__type(key, struct policy_peer);
	__type(value, struct policy_asked);
} policy_asked SEC(".maps");

struct policy_caller_key {
	__u64 netns; /* of loopback addresses, which each has; else 0 */
	__u8 address[16];
	__u16 port;
	__u8 protocol;
	__u8 pad[5];
};

/* Local callers that are known by their cgroup, who share the machine's addresses: by where they send from. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_POLICY_CALLERS_MAX);
	__type(key, struct policy_caller_key);
	__type(value, __u64);
} policy_callers SEC(".maps");

struct policy_home {
	__u8 address[2][16]; /* of IPv4, IPv6 */
};

/* By its network namespace, where a workload that is known by its address sends from: connect() has no address yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_POLICY_HOMES_MAX);
	__type(key, __u64);
	__type(value, struct policy_home);
} policy_homes SEC(".maps");

/* What was refused, or would be, kernel -> agent.  Full: it is lost and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CF_POLICY_RING_BYTES);
} policy_events SEC(".maps");

struct policy_told_key {
	__u8 local[16];
	__u8 remote[16];
	__u16 port; /* that is called: who calls has another one each time */
	__u8 protocol;
	__u8 direction; /* enum cf_policy_direction */
	__u8 verdict;
	__u8 established; /* of a connection that stood */
	__u8 connects;	  /* told connect() */
	__u8 pad;
};

struct policy_told {
	__u64 time_ns;
	__u64 held_back;
};

/* When this was last told: whoever goes on calling where they may not fills no ring.  One that is evicted is told
 * again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_POLICY_TOLD_MAX);
	__type(key, struct policy_told_key);
	__type(value, struct policy_told);
} policy_told SEC(".maps");

/* By direction and enum cf_policy_verdict, then enum cf_policy_counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CF_POLICY_C_MAX);
	__type(key, __u32);
	__type(value, __u64);
} policy_counters SEC(".maps");

/* By the rule's number: how often it decided or, AUDIT, matched. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CF_POLICY_HITS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} policy_hits SEC(".maps");

static __always_inline void policy_count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&policy_counters, &counter);

	if (value)
		++*value;
}

static __always_inline void policy_hit(__u32 rule)
{
	__u64 *value = rule ? bpf_map_lookup_elem(&policy_hits, &rule) : NULL;

	if (value)
		__sync_fetch_and_add(value, 1);
}

#endif
