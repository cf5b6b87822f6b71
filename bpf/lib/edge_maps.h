/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The maps of the edge.  Full: the agent refuses the newest service in words; what the programs write is LRU. */
#ifndef CORTEXFLOW_LIB_EDGE_MAPS_H
#define CORTEXFLOW_LIB_EDGE_MAPS_H

#include "bpf/abi/edge.h"
#include "bpf/lib/bpf.h"

/* One entry.  Written by the agent, as are the next six. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cf_edge_settings);
} edge_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_EDGE_FRONTENDS_MAX);
	__type(key, struct cf_edge_address);
	__type(value, struct cf_edge_frontend);
} edge_frontends SEC(".maps");

/* An array of 8-octet elements for all services together would be reserved whole; a hash would hash twice. */
struct edge_table_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32)); /* no types: clang 19 leaves out those that only an inner map names */
	__uint(value_size, sizeof(struct cf_edge_table));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, CF_EDGE_TABLES_MAX);
	__type(key, __u32);
	__array(values, struct edge_table_map);
} edge_tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CF_EDGE_BACKENDS_MAX);
	__type(key, __u32);
	__type(value, struct cf_edge_backend);
} edge_backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_EDGE_DENY_MAX);
	__type(key, struct cf_edge_deny_key);
	__type(value, struct cf_edge_deny);
} edge_deny SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_EDGE_RANGES_MAX);
	__type(key, struct cf_edge_range);
	__type(value, __u32);
} edge_ranges SEC(".maps");

/* Flows of moved slots whose backend the table doesn't tell.  Written by the programs, as are all below; the agent
 * walks it to know when a table has no pins any more. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_EDGE_PINS_MAX);
	__type(key, struct cf_edge_flow);
	__type(value, struct cf_edge_pin);
} edge_pins SEC(".maps");

/* Those that may become such, so that strangers push out one another and nothing else. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_EDGE_CANDIDATES_MAX);
	__type(key, struct cf_edge_flow);
	__type(value, struct cf_edge_pin);
} edge_candidates SEC(".maps");

/* Translated flows, an entry for each direction. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_EDGE_NAT_MAX);
	__type(key, struct cf_edge_flow);
	__type(value, struct cf_edge_nat);
} edge_nat SEC(".maps");

/* Translated flows whose client has not acknowledged what the backend said: strangers' half-open ones stay here. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_EDGE_OPENING_MAX);
	__type(key, struct cf_edge_flow);
	__type(value, struct cf_edge_nat);
} edge_opening SEC(".maps");

/* Ports of fragmented datagrams, for their later fragments. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_EDGE_FRAGMENTS_MAX);
	__type(key, struct cf_edge_fragment_key);
	__type(value, struct cf_edge_fragment);
} edge_fragments SEC(".maps");

/* Next hops, direct-mapped by address.  Per CPU, so that none is read half-written. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CF_EDGE_HOPS);
	__type(key, __u32);
	__type(value, struct cf_edge_hop);
} edge_hops SEC(".maps");

/* enum cf_edge_counter -> count.  Summed by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CF_EDGE_C_MAX);
	__type(key, __u32);
	__type(value, __u64);
} edge_counters SEC(".maps");

static __always_inline struct cf_edge_frontend *edge_frontend_of(const __u8 *address, __u16 port, __u8 protocol)
{
	struct cf_edge_address key = {.port = port, .protocol = protocol};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&edge_frontends, &key);
}

/* A CPU runs one packet at a time, so no atomic addition. */
static __always_inline void edge_count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&edge_counters, &counter);

	if (value)
		*value += 1;
}

static __always_inline int edge_verdict(__u32 verdict, int action)
{
	edge_count(verdict);
	return action;
}

static __always_inline __u32 edge_tick(void)
{
	/* Kernel commit d05512618056 (5.11): a third of the price. */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns))
		return bpf_ktime_get_coarse_ns() >> 30;
	return bpf_ktime_get_ns() >> 30;
}

#endif
