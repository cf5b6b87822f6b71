/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The maps of service translation.  Not preallocated: memory follows the configuration.  Full: the agent refuses the
 * newest service in words, and what is there stays. */
#ifndef CORTEXFLOW_LIB_SERVICE_MAPS_H
#define CORTEXFLOW_LIB_SERVICE_MAPS_H

#include "bpf/lib/service_sockets.h"

/* Address, port and protocol of a service -> its number.  Written by the agent, as are the next four. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_FRONTENDS_MAX);
	__type(key, struct cf_svc_address);
	__type(value, struct cf_svc_frontend);
} svc_frontends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct cf_service);
} svc_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_SUBSETS_MAX);
	__type(key, struct cf_svc_subset_key);
	__type(value, struct cf_svc_subset);
} svc_subsets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_SLOTS_MAX);
	__type(key, struct cf_svc_slot_key);
	__type(value, struct cf_svc_slot);
} svc_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_BACKENDS_MAX);
	__type(key, __u32);
	__type(value, struct cf_backend);
} svc_backends SEC(".maps");

/* Which workload a caller is.  Written by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_CALLERS_MAX);
	__type(key, struct cf_svc_caller_key);
	__type(value, struct cf_svc_caller);
} svc_callers SEC(".maps");

/* Live figures: entries made and deleted by the agent with their service and backend, written by the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct cf_service_load);
} svc_load SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_BACKENDS_MAX);
	__type(key, __u32);
	__type(value, struct cf_backend_load);
} svc_load_be SEC(".maps");

/* What is known against backends.  Written by the agent, read by the one that comes after it.  Full: what is newest is
 * not kept, and said. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CF_SVC_AVOIDED_MAX);
	__type(key, struct cf_svc_avoided_key);
	__type(value, struct cf_svc_avoided);
} svc_avoided SEC(".maps");

/* Which backend a client has had lately.  Written by the programs.  Full: the longest unused goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_SVC_AFFINITY_MAX);
	__type(key, struct cf_svc_affinity_key);
	__type(value, struct cf_svc_affinity);
} svc_affinity SEC(".maps");

/* UDP socket and service address -> the backend that its datagrams go to, as long as it is one of the service's. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_SVC_PEERS_MAX);
	__type(key, struct cf_svc_peer_key);
	__type(value, __u32);
} svc_pins SEC(".maps");

/* UDP socket and backend address -> the service address that answers from there seem to come from. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_SVC_PEERS_MAX);
	__type(key, struct cf_svc_peer_key);
	__type(value, struct cf_svc_address);
} svc_peers SEC(".maps");

/* 1 while bpf/observe/tcp.bpf.c is attached, so that a connection's phases are followed.  Written by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} svc_watched SEC(".maps");

/* enum cf_svc_counter -> count.  Written by the programs, summed by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CF_SVC_C_MAX);
	__type(key, __u32);
	__type(value, __u64);
} svc_counters SEC(".maps");

static __always_inline void svc_count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&svc_counters, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

#endif
