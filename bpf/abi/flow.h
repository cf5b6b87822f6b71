/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the flow programs (bpf/observe/flow.bpf.c, flow_open.bpf.c) and the agent tell each other: a record for each TCP
 * connection of this node's sockets when it has ended, and of those that are open when the agent asks.  Included by
 * clang for the bpf target and by the C++ compiler.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC (bpf_ktime_get_ns).  Addresses are 16 octets in network order, IPv4 as
 * ::ffff:a.b.c.d (RFC 4291 2.5.5.2).  Ports are in host order.
 */
#ifndef CORTEXFLOW_ABI_FLOW_H
#define CORTEXFLOW_ABI_FLOW_H

#include "bpf/abi/policy.h"

enum {
	CF_FLOW_VERSION = 2,
	CF_FLOW_RING_BYTES = 2 << 20, /* some 10,000 records */
};

/* Who opened it: this socket's owner, or the other end. */
enum cf_flow_direction {
	CF_FLOW_OUT = 1,
	CF_FLOW_IN = 2,
};

/* How it ended. */
enum cf_flow_outcome {
	CF_FLOW_CLOSED = 1,  /* by a FIN */
	CF_FLOW_RESET = 2,   /* by the other end's RST */
	CF_FLOW_ABORTED = 3, /* by this end's: closed with octets unread, without lingering, or by the kernel's order */
	CF_FLOW_BROKEN = 4,  /* the other end answered no more */
	CF_FLOW_REFUSED = 5, /* never established: RST */
	CF_FLOW_TIMED_OUT = 6,	 /* never established: no answer */
	CF_FLOW_UNREACHABLE = 7, /* never established: ICMP, or a local refusal */
	CF_FLOW_ABANDONED = 8,	 /* never established: this end gave up before an answer */
	CF_FLOW_OUTCOMES,

	/* In records of connections that have not ended (bpf/observe/flow_open.bpf.c); in no ring. */
	CF_FLOW_OPEN = 16,
	CF_FLOW_CONNECTING = 17,
};

struct cf_flow {
	struct cf_event_head head;
	__u64 start_ns;	      /* the SYN went out; of an accepted connection, the handshake's end */
	__u64 established_ns; /* 0: never */
	__u64 end_ns;
	__u64 bytes_sent; /* payload, what was sent again counted once */
	__u64 bytes_received;
	__u64 cgroup_id; /* cgroup v2 id of the socket; 0: unknown */
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u8 direction;	     /* enum cf_flow_direction */
	__u8 outcome;	     /* enum cf_flow_outcome */
	__u16 error;	     /* errno that the application got; 0: none */
	__u32 retransmits;   /* segments sent again */
	__u32 round_trip_us; /* smoothed (RFC 6298), at the end; 0: not known */
	__u32 netns;	     /* inode number of the network namespace */
	__u32 tgid;	     /* of who connected; 0 for accepted connections */
	char comm[CF_COMM_LEN];
	__u8 service[16]; /* where mesh/service was asked to connect to, and chose `remote`; zeros: nowhere else */
	__u16 service_port;
	__u16 pad[3];
	struct cf_policy_judgment policy; /* at this end; generation 0: not judged */
};
CF_STATIC_ASSERT(sizeof(struct cf_flow) == 176, "cf_flow");

enum cf_flow_counter {
	CF_FLOW_C_EMITTED,
	CF_FLOW_C_LOST_RING_FULL,
	CF_FLOW_C_UNTRACKED, /* connections without a record: no memory for their state */
	CF_FLOW_C_MAX,
};

#endif
