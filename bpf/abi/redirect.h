/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The tables of bpf/mesh/redirect.bpf.c, which translates services for callers whose sockets no cgroup hook sees.  What
 * a service is stands in bpf/abi/service.h; here is what these programs remember of a flow, and what they count.
 *
 * Included by clang for the bpf target and by the C++ compiler; both check the layout below.
 */
#ifndef CORTEXFLOW_ABI_REDIRECT_H
#define CORTEXFLOW_ABI_REDIRECT_H

#include "bpf/abi/service.h"

enum {
	CF_REDIRECT_FLOWS_MAX = 131072,	  /* entries, two a flow; LRU */
	CF_REDIRECT_FRAGMENTS_MAX = 4096, /* datagrams that are on their way in parts; LRU */
	CF_REDIRECT_LIVE_MAX = 65536,	  /* TCP connections that count as live */
	CF_REDIRECT_UDP_TICKS = 112,	  /* of 2^30 ns, 120 s: an idle UDP flow's backend is chosen anew */
	CF_REDIRECT_OPENING_TICKS = 122,  /* 131 s, longer than Linux sends SYNs: nobody answered */
	CF_REDIRECT_IDLE_TICKS = 7451,	  /* 8000 s, longer than TCP keepalive is quiet */
	CF_REDIRECT_PORT_TRIES = 16,	  /* source ports that are tried for a flow whose own is taken */
	CF_REDIRECT_PORT_MIN = 61000,	  /* above Linux's usual ip_local_port_range */
	CF_REDIRECT_PORT_MAX = 65535,
};

enum cf_redirect_direction {
	CF_REDIRECT_FROM_WORKLOAD = 1, /* ingress of the interface's host side */
	CF_REDIRECT_TO_WORKLOAD = 2,
};

/* What a flow's packets look like when they come to one side of one interface.  Addresses and ports as in service.h. */
struct cf_redirect_flow {
	__u8 source[16];
	__u8 dest[16];
	__u16 source_port;
	__u16 dest_port;
	__u32 ifindex;
	__u8 protocol;
	__u8 direction; /* enum cf_redirect_direction */
	__u16 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_redirect_flow) == 44, "cf_redirect_flow");

enum cf_redirect_flags {
	CF_REDIRECT_REPLY = 1,	 /* of the packets that come back */
	CF_REDIRECT_HAIRPIN = 2, /* the caller is its own backend: both ways come from the workload and go back to it */
	CF_REDIRECT_FIN = 4,	 /* seen this way */
	CF_REDIRECT_CLOSED = 8,	 /* FIN both ways, or RST */
	CF_REDIRECT_ANSWERED = 16, /* a packet has come back */
};

/* What these packets get. */
struct cf_redirect_entry {
	__u8 source[16];
	__u8 dest[16];
	__u16 source_port;
	__u16 dest_port;
	__u32 service;
	__u32 backend;
	__u32 tick;  /* CLOCK_MONOTONIC >> 30 of the flow's latest packet */
	__u32 flags; /* enum cf_redirect_flags */
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_redirect_entry) == 52, "cf_redirect_entry");

/* A TCP connection that is in the service's and the backend's active: whoever deletes the entry takes it out. */
struct cf_redirect_live {
	__u32 service;
	__u32 backend;
};

/* What the agent gives to redirect_expire, behind 14 octets. */
struct cf_redirect_expiry {
	struct cf_redirect_flow flow; /* a key of redirect_live */
	__u32 tick;
};

/* A datagram in parts: the parts after the first have no ports. */
struct cf_redirect_fragment_key {
	__u8 source[16];
	__u8 dest[16];
	__u32 id;
	__u32 ifindex;
	__u8 protocol;
	__u8 direction;
	__u16 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_redirect_fragment_key) == 44, "cf_redirect_fragment_key");

struct cf_redirect_ports {
	__u16 source_port;
	__u16 dest_port;
};

/* What became of a packet: each has exactly one.  Per-CPU counters, index into redirect_verdicts. */
enum cf_redirect_verdict {
	/* passed as it came */
	CF_REDIRECT_V_OTHER = 0,	/* neither TCP nor UDP nor an error about one */
	CF_REDIRECT_V_NOT_SERVICE,	/* no service's, and of no flow */
	CF_REDIRECT_V_MALFORMED,	/* its headers can't be followed */
	CF_REDIRECT_V_FRAGMENT_UNKNOWN, /* a later part whose first was not translated */
	/* translated */
	CF_REDIRECT_V_OPENED, /* began a flow */
	CF_REDIRECT_V_FORWARDED,
	CF_REDIRECT_V_REVERSED, /* an answer */
	CF_REDIRECT_V_HAIRPIN,	/* went back to the workload that it came from */
	CF_REDIRECT_V_FRAGMENT, /* a later part */
	CF_REDIRECT_V_ICMP,	/* an error about a translated packet */
	/* refused */
	CF_REDIRECT_V_REFUSED_EMPTY, /* no backend */
	CF_REDIRECT_V_REFUSED_BREAKER,
	CF_REDIRECT_V_REFUSED_LOST,	   /* a backend could not be chosen: the tables changed under the reader */
	CF_REDIRECT_V_REFUSED_UNREACHABLE, /* a loopback address, or another family's: none that a packet can be sent to
					    */
	CF_REDIRECT_V_REFUSED_UNKNOWN,	   /* TCP in the middle of a connection that is not in the table */
	CF_REDIRECT_V_REFUSED_NO_PORT,	   /* every source port tried is taken by another flow to that backend */
	CF_REDIRECT_V_REFUSED_FULL,	   /* the table took no entry */
	CF_REDIRECT_V_DROPPED,		   /* the packet could not be rewritten */
	CF_REDIRECT_V_MAX,
};

#endif
