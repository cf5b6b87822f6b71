/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The tables of the edge (bpf/mesh/edge.bpf.c): what the agent writes and the kernel reads, and what the kernel counts.
 * Included by clang for the bpf target and by the C++ compiler; both check the layout below.
 *
 *   address, port, protocol -> edge_frontends -> service, table, and how its packets are sent on
 *   table -> edge_tables (one inner array a service) -> 65,537 slots -> backend number
 *   backend number -> edge_backends -> address and port, and whose backend it is
 *   packet -> edge_pins | edge_nat -> the backend of a flow that can't be found by its hash alone (lib/edge_choice.h)
 *
 * Addresses are 16 octets in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2).  Ports are in host order.
 * Ticks are CLOCK_MONOTONIC nanoseconds >> 30, so 1.07 s.
 */
#ifndef CORTEXFLOW_ABI_EDGE_H
#define CORTEXFLOW_ABI_EDGE_H

#ifdef __bpf__
#include <vmlinux.h>
#else
#include <linux/types.h>
#endif

#ifdef __cplusplus
#define CF_EDGE_STATIC_ASSERT static_assert
#else
#define CF_EDGE_STATIC_ASSERT _Static_assert
#endif

enum {
	CF_EDGE_TABLE_SLOTS =
		65537,		   /* Maglev's table size (NSDI 2016, 3.4): a prime, 100 times the backends and more */
	CF_EDGE_TABLES_MAX = 4096, /* services; 256 KiB each, allocated with the service */
	CF_EDGE_BACKENDS_MAX = 65536, /* number 0 is none */
	CF_EDGE_FRONTENDS_MAX = 65536,
	CF_EDGE_DENY_MAX = 262144,
	CF_EDGE_RANGES_MAX = 65536,
	CF_EDGE_NAT_MAX = 262144,	/* two a flow; LRU; can be set when the tables are made */
	CF_EDGE_OPENING_MAX = 65536,	/* two a flow that has not shown itself yet; LRU; can be set */
	CF_EDGE_PINS_MAX = 262144,	/* LRU; can be set */
	CF_EDGE_CANDIDATES_MAX = 65536, /* LRU; can be set */
	CF_EDGE_FRAGMENTS_MAX = 8192,	/* datagrams whose later fragments are awaited; LRU */
	CF_EDGE_HOPS = 1024,		/* next hops remembered a CPU; a power of two */

	CF_EDGE_PIN_TICKS = 1,	   /* a candidate that is seen again after this is pinned */
	CF_EDGE_CLOSED_TICKS = 60, /* a closed flow's port may be given to any other after this: TIME-WAIT */
	CF_EDGE_TCP_TICKS = 900,   /* and an idle flow's after this, where there is no free one */
	CF_EDGE_UDP_TICKS = 60,
	CF_EDGE_PORT_TRIES = 8,
	CF_EDGE_FREE_TRIES = 4, /* of these, before one that may be had from a closed flow is taken */
};

/* Address, port and protocol; of a frontend, or of a backend on this node (CF_EDGE_LOCAL_BACKEND). */
struct cf_edge_address {
	__u8 address[16];
	__u16 port;
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad;
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_address) == 20, "cf_edge_address");

enum cf_edge_mode {
	CF_EDGE_NAT = 1,  /* full NAT: answers come back through this node */
	CF_EDGE_IPIP = 2, /* in an IP header more (RFC 2003, RFC 2473): the backend answers the client itself */
	CF_EDGE_GUE = 3,  /* in UDP (draft-ietf-intarea-gue, variant 1) */
	CF_EDGE_LOCAL_BACKEND = 4, /* no frontend: what leaves the node from here may be an answer */
};

enum cf_edge_frontend_flags {
	CF_EDGE_BY_CLIENT = 1, /* all flows of a client's address go to one backend */
	CF_EDGE_LIMITED = 2,   /* for clients in the service's edge_ranges alone */
};

struct cf_edge_frontend {
	__u32 service;
	__u32 table;
	__u8 mode;   /* enum cf_edge_mode */
	__u8 flags;  /* enum cf_edge_frontend_flags */
	__u16 owner; /* the agent's note of the service's name; 0: none */
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_frontend) == 12, "cf_edge_frontend");

/* Longest prefix match: a service's loadBalancerSourceRanges.  The value says nothing. */
struct cf_edge_range {
	__u32 prefix_length; /* 32 + the prefix' own, IPv4 with 96 more */
	__u32 service;
	__u8 address[16];
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_range) == 24, "cf_edge_range");

/* One aligned word, so that a reader sees both or neither of a change.
 *   before 0:             no flow of this slot is anywhere else; no connection table is asked
 *   before, not now:      the slot has moved; TCP flows that did not begin since are on `before`
 *   before equal to now:  the move is over; flows that are on other backends are pinned */
struct cf_edge_slot {
	__u16 now; /* backend of new flows; 0: none */
	__u16 before;
} __attribute__((aligned(4)));
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_slot) == 4, "cf_edge_slot");

struct cf_edge_table {
	struct cf_edge_slot slots[CF_EDGE_TABLE_SLOTS];
};

enum cf_edge_backend_flags {
	CF_EDGE_LOCAL = 1,    /* on this node: the client's address stays in the packet */
	CF_EDGE_DRAINING = 2, /* has its flows still, gets no new ones */
};

/* All zero: none. */
struct cf_edge_backend {
	__u8 address[16];
	__u16 port;
	__u8 flags; /* enum cf_edge_backend_flags */
	__u8 pad;
	__u32 service;
	__u32 id; /* never used again, as numbers are */
	__u32 pad2;
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_backend) == 32, "cf_edge_backend");

enum cf_edge_settings_flags {
	CF_EDGE_DENY_ANY = 1,  /* edge_deny has entries for all ports */
	CF_EDGE_DENY_PORT = 2, /* and for single ones */
	CF_EDGE_HAS_LOCAL = 4, /* edge_frontends has CF_EDGE_LOCAL_BACKEND entries */
};

struct cf_edge_settings {
	__u8 address4[16]; /* mapped; what full NAT and tunnels send from; zero: those services drop */
	__u8 address6[16];
	__u64 hash_seed; /* the same on all edges that share an address */
	__u16 nat_port_min;
	__u16 nat_port_max; /* must be kept from the node's own sockets */
	__u16 gue_port;
	__u16 mtu;   /* where the kernel doesn't say (before 5.12) */
	__u32 flags; /* enum cf_edge_settings_flags */
	__u32 pad;
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_settings) == 56, "cf_edge_settings");

enum cf_edge_direction {
	CF_EDGE_IN = 0,	 /* source address of what comes to a frontend */
	CF_EDGE_OUT = 1, /* destination of an answer, where it comes through here */
	CF_EDGE_DIRECTIONS,
};

/* Longest prefix match; an entry for a port is asked apart from those for all (port 0). */
struct cf_edge_deny_key {
	__u32 prefix_length; /* 16 + the prefix' own, IPv4 with 96 more */
	__u8 port[2];	     /* of the frontend, network order as a trie wants it; 0: all */
	__u8 address[16];
	__u8 pad[2]; /* behind every prefix */
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_deny_key) == 24, "cf_edge_deny_key");

/* CLOCK_MONOTONIC; 0: not, all ones: for good.  Holds what the shorter prefixes around it say as well, so that one that
 * has expired doesn't hide them. */
struct cf_edge_deny {
	__u64 drop_until_ns[CF_EDGE_DIRECTIONS];
	__u64 audit_until_ns[CF_EDGE_DIRECTIONS]; /* counted and let pass */
};

struct cf_edge_flow {
	__u8 source[16];
	__u8 dest[16];
	__u16 source_port;
	__u16 dest_port;
	__u8 protocol;
	__u8 pad[3];
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_flow) == 40, "cf_edge_flow");

/* edge_pins and edge_candidates, by flow from client to frontend. */
struct cf_edge_pin {
	__u32 id;      /* of the backend: another has the number if it differs */
	__u32 tick;    /* when it became a candidate */
	__u16 backend; /* number */
	__u8 began;    /* its SYN was seen */
	__u8 pad;
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_pin) == 12, "cf_edge_pin");

enum cf_edge_nat_flags {
	CF_EDGE_REPLY = 1, /* from backend to client */
	CF_EDGE_ANSWERED = 2,
	CF_EDGE_CLOSED = 4, /* a FIN or RST went this way */
	CF_EDGE_RESET = 8,  /* a RST did, the last of all */
	CF_EDGE_BEGUN = 16, /* reply: by a SYN, whose number and clock are `ack` and `timestamp` until it is closed */
	CF_EDGE_STAYS =
		32, /* to a backend on this node: the stack brings it there, and its answers leave by edge_out */
};

/* edge_nat and edge_opening, by flow as it comes in: what its packets get, in either direction.
 * `ack`: what the client must acknowledge to have shown that it is where it says; of a reply that is closed, what the
 * backend has acknowledged.  `timestamp`: of such a reply, the client's clock as the backend last had it (RFC 7323);
 * 0: none. */
struct cf_edge_nat {
	__u8 source[16];
	__u8 dest[16];
	__u16 source_port;
	__u16 dest_port;
	__u32 id;   /* of the backend */
	__u32 tick; /* of the latest packet */
	__u32 ack;
	__u16 backend;
	__u8 flags; /* enum cf_edge_nat_flags */
	__u8 pad;
	__u32 timestamp;
};
CF_EDGE_STATIC_ASSERT(sizeof(struct cf_edge_nat) == 56, "cf_edge_nat");

struct cf_edge_fragment_key {
	__u8 source[16];
	__u8 dest[16];
	__u32 id;
	__u8 protocol;
	__u8 pad[3];
};

struct cf_edge_fragment {
	__u16 source_port;
	__u16 dest_port;
};

/* The way to an address, as the routing and neighbour tables last had it. */
struct cf_edge_hop {
	__u8 address[16];
	__u32 interface; /* 0: none remembered, or there was none in that tick */
	__u32 tick;	 /* it counts in this one only */
	__u16 mtu;	 /* 0: the kernel doesn't say */
	__u8 dest_mac[6];
	__u8 source_mac[6];
	__u8 pad[2];
};

/* Per-CPU, index into edge_counters.  Each packet that comes in counts in exactly one verdict; of those that leave the
 * node, what is answered by a backend on it does (replied, error_followed, denied). */
enum cf_edge_counter {
	/* passed to the stack as they came */
	CF_EDGE_V_NOT_OURS = 0,
	CF_EDGE_V_MALFORMED,	    /* headers that can't be followed */
	CF_EDGE_V_FRAGMENT_UNKNOWN, /* a later fragment whose first was not seen, or was not ours */
	CF_EDGE_V_REPLY_UNKNOWN,    /* to a port of ours that no flow has */
	/* passed to the stack rewritten */
	CF_EDGE_V_STACK,	/* the backend is on this node, or the next hop is this node itself */
	CF_EDGE_V_NO_NEIGHBOUR, /* whose link address is not known: the agent asks for it;
				 * the stack drops what is from an address of its own, a martian to it */
	/* sent */
	CF_EDGE_V_TUNNELLED,
	CF_EDGE_V_TRANSLATED,
	CF_EDGE_V_REPLIED,
	CF_EDGE_V_ERROR_FOLLOWED, /* an ICMP error, sent after its flow */
	CF_EDGE_V_TOO_BIG,	  /* answered with ICMP */
	CF_EDGE_V_TTL_EXCEEDED,	  /* answered with ICMP */
	/* dropped */
	CF_EDGE_V_DENIED,
	CF_EDGE_V_OUT_OF_RANGE, /* of a service's loadBalancerSourceRanges */
	CF_EDGE_V_NO_BACKEND,
	CF_EDGE_V_NO_PORT,    /* every port tried for this backend is in use by a flow that is alive */
	CF_EDGE_V_NO_ADDRESS, /* to send from, in this family */
	CF_EDGE_V_NO_ROUTE,
	CF_EDGE_V_NOT_FORWARDING, /* the interface's sysctl forwarding is off */
	CF_EDGE_V_UNANSWERABLE,	  /* too big or expired, and not such that ICMP may answer */
	CF_EDGE_V_HELPER_FAILED,  /* no room before the packet, or a table refused */
	CF_EDGE_VERDICTS,
	/* events, beside the verdict */
	CF_EDGE_C_AUDITED = CF_EDGE_VERDICTS, /* would have been denied */
	CF_EDGE_C_CANDIDATE,
	CF_EDGE_C_PINNED,
	CF_EDGE_C_FROM_PIN, /* found its backend by a pin */
	CF_EDGE_C_OPENED,   /* flows given a translation */
	CF_EDGE_C_ESTABLISHED,
	CF_EDGE_C_PORT_TAKEN,  /* from a flow that had not shown itself */
	CF_EDGE_C_PORT_REUSED, /* from a closed flow, in the backend's TIME-WAIT or after its RST */
	CF_EDGE_C_FRAGMENT,    /* first fragments remembered */
	CF_EDGE_C_ROUTED,      /* asked the routing table */
	CF_EDGE_C_LOST,	       /* a pin, candidate or fragment could not be written */
	CF_EDGE_C_MAX,
};

#endif
