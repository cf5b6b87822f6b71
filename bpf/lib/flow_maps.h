/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The maps of the flow program (observe/flow.bpf.c). */
#ifndef CORTEXFLOW_LIB_FLOW_MAPS_H
#define CORTEXFLOW_LIB_FLOW_MAPS_H

#include "bpf/abi/flow.h"
#include "bpf/lib/bpf.h"

/* Records of ended connections, kernel -> agent.  Full: the record is lost and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CF_FLOW_RING_BYTES);
} flow_events SEC(".maps");

/* What is known of a connection that has not ended. */
struct flow_socket {
	__u64 start_ns;
	__u64 established_ns;
	__u32 tgid;
	__u32 direction; /* enum cf_flow_direction; 0: it has ended */
	char comm[CF_COMM_LEN];
	__u8 service[16]; /* that was asked for; zeros: the remote address itself */
	__u16 service_port;
	__u16 pad[3];
};

/* Lives and dies with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct flow_socket);
} flow_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CF_FLOW_C_MAX);
	__type(key, __u32);
	__type(value, __u64);
} flow_counters SEC(".maps");

static __always_inline void flow_count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&flow_counters, &counter);

	if (value)
		++*value;
}

#endif
