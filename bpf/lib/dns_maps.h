/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The maps of the DNS packet programs (observe/dns.bpf.c), and their counters. */
#ifndef CORTEXFLOW_LIB_DNS_MAPS_H
#define CORTEXFLOW_LIB_DNS_MAPS_H

#include "bpf/abi/dns.h"
#include "bpf/lib/bpf.h"

/* Records of ended lookups, kernel -> agent.  Full: the record is lost and counted (CF_DNS_C_LOST_RING_FULL). */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CF_DNS_RING_BYTES);
} dns_events SEC(".maps");

/*
 * Queries waiting for an answer.  Written by the packet programs; the agent's sweep takes out what is older than the
 * time limit.  Preallocated (14 MB): an allocation at each query would cost more than all the rest.  Full: the query is
 * reported as untracked.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CF_DNS_PENDING_MAX);
	__type(key, struct cf_dns_key);
	__type(value, struct cf_dns_query);
} dns_pending SEC(".maps");

/* Lookups that ended (cf_dns_fingerprint), so that a further answer is known as a second or a late one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CF_DNS_RECENT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} dns_recent SEC(".maps");

enum {
	STREAM_HEAD = 512,	  /* octets kept of each message: header, longest question, an OPT record behind it */
	STREAM_NEVER = 1 << 30,	  /* octets before: nothing that comes is so old */
	STREAM_PIECES_MAX = 1024, /* of one segment: lengths, heads, rests; two or three a message */
	STREAM_MESSAGES_MAX = 32, /* in one segment of a stream from which octets are missing */
	DATAGRAMS_MAX = 128,	  /* in one packet: UDP_MAX_SEGMENTS */
};

/* One direction of a TCP connection, being cut into messages (RFC 1035 4.2.2). */
struct dns_stream {
	__u32 next_seq; /* behind the last octet seen */
	__u32 have;	/* octets of the message so far, the two of its length included */
	__u32 length;	/* of the message, from those two */
	__u32 lost;	/* 1: octets from lost_at on are missing; `have` is as it was before them */
	__u32 lost_at;
	__u32 boundary; /* while lost: the sequence number at which a message starts, if has_boundary */
	__u32 has_boundary;
	__u8 prefix[4]; /* the length field */
	/* Twice the size: the verifier bounds place and length of a copy each on its own, not their sum. */
	__u8 head[2 * STREAM_HEAD];
};

/* Socket cookie * 2 + (1 for answers) -> stream.  Full: the longest unused goes, and is picked up where it is next. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_DNS_STREAMS_MAX);
	__type(key, __u64);
	__type(value, struct dns_stream);
} dns_streams SEC(".maps");

/* enum cf_dns_counter -> count.  Written here, summed by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CF_DNS_C_MAX);
	__type(key, __u32);
	__type(value, __u64);
} dns_counters SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&dns_counters, &counter);

	/* Atomic: a program in process context may be preempted by another on this CPU. */
	if (value)
		__sync_fetch_and_add(value, 1);
}

#endif
