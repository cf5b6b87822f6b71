/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What the redirect programs remember.  Beside these they read the tables of bpf/lib/service_maps.h: the same maps. */
#ifndef CORTEXFLOW_LIB_REDIRECT_MAPS_H
#define CORTEXFLOW_LIB_REDIRECT_MAPS_H

#include "bpf/abi/redirect.h"
#include "bpf/lib/service_maps.h"

/* Both ways of each flow.  Written by the programs; counted by the agent.  Full: the flow that was
 * quiet for longest goes, and a TCP caller of it is reset with its next packet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_REDIRECT_FLOWS_MAX);
	__type(key, struct cf_redirect_flow);
	__type(value, struct cf_redirect_entry);
} redirect_flows SEC(".maps");

/* Connections that count as live, under the caller's side of the flow.  Written by the programs; for what ended without
 * a word the agent runs redirect_expire.  Not LRU, as nobody is told what such a map lets go.  Full: the newest
 * connection is served and not counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_REDIRECT_LIVE_MAX);
	__type(key, struct cf_redirect_flow);
	__type(value, struct cf_redirect_live);
} redirect_live SEC(".maps");

/* The ports of datagrams in parts.  Full: the oldest goes, and its later parts find no ports. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_REDIRECT_FRAGMENTS_MAX);
	__type(key, struct cf_redirect_fragment_key);
	__type(value, struct cf_redirect_ports);
} redirect_parts SEC(".maps");

/* enum cf_redirect_verdict -> packets.  Written by the programs, summed by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CF_REDIRECT_V_MAX);
	__type(key, __u32);
	__type(value, __u64);
} redirect_verdicts SEC(".maps");

static __always_inline void redirect_count(__u32 verdict)
{
	__u64 *value = bpf_map_lookup_elem(&redirect_verdicts, &verdict);

	if (value)
		__sync_fetch_and_add(value, 1);
}

#endif
