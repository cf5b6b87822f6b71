/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The tables of authorization (bpf/mesh/policy.bpf.c): what the agent writes and the kernel reads, and what the kernel
 * counts.  Included by clang for the bpf target and by the C++ compiler; both check the layout below.
 *
 *   network namespace, cgroup       -> policy_locals    -> identity of the workload whose socket it is
 *   address                         -> policy_addresses -> identity of who sends (and of local sockets not found above)
 *   address                         -> policy_ranges    -> there: it is a workload's, known or not
 *   identity                        -> policy_targets   -> for each direction a table, and what no rule of it says
 *   table, peer, port, protocol     -> policy_rules     -> what the rules say; peer and port also as "any"
 *   table, port, protocol, address  -> policy_blocks    -> the same by CIDR; an entry says what all that cover it say
 *
 * In: at the called workload's socket, the peer calls, the port is the workload's.  Out: at the calling workload's, the
 * peer is called, the port is its.  Both kinds of policy speak of both; a table has what both kinds say.
 *
 * A table is written whole before a target points to it, and goes when none does any more; its number is not used
 * again while the maps live.  An identity is a keyed hash of what it stands for (namespace, service account, labels
 * that policies name), so that it is the same in the next agent, and another for whoever gets the address next.
 *
 * Addresses are 16 octets in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2).  Ports are in host order.
 */
#ifndef CORTEXFLOW_ABI_POLICY_H
#define CORTEXFLOW_ABI_POLICY_H

#include "bpf/abi/event.h"

enum {
	CF_POLICY_LOCALS_MAX = 65536,
	CF_POLICY_ADDRESSES_MAX =
		524288, /* half of them for one state: two are there while one takes the other's place */
	CF_POLICY_RANGES_MAX = 256,
	CF_POLICY_TARGETS_MAX = 131072, /* likewise, as the next two */
	CF_POLICY_RULES_MAX = 524288,
	CF_POLICY_BLOCKS_MAX = 131072,
	CF_POLICY_HITS_MAX = 131072,	/* rules that are counted one by one */
	CF_POLICY_CALLERS_MAX = 65536,	/* sockets of local workloads that are known by their cgroup; LRU */
	CF_POLICY_ASKED_MAX = 65536,	/* (UDP socket, peer); LRU */
	CF_POLICY_HOMES_MAX = 8192,	/* network namespaces of workloads that policies say whom they may call; LRU */
	CF_POLICY_TOLD_MAX = 16384,	/* (workload, peer, port, verdict) that policy_events tells of; LRU */
	CF_POLICY_RING_BYTES = 1 << 19, /* some 3,600 records */
	CF_POLICY_CGROUP_LEVELS = 8,	/* below the root that a workload's cgroup may be, with what is in it */
	CF_POLICY_ASKED_SECONDS = 120,	/* a UDP peer that was sent something may answer for so long */
};

/* Identities that are no hash; what hashes to one of them gets the next number. */
enum cf_policy_identity {
	CF_POLICY_ID_ANY = 0,	    /* in rules */
	CF_POLICY_ID_WORLD = 1,	    /* an address of no workload and no node */
	CF_POLICY_ID_UNKNOWN = 2,   /* an address in policy_ranges that no pod has yet */
	CF_POLICY_ID_AMBIGUOUS = 3, /* an address of several identities */
	CF_POLICY_ID_HOST = 4,	    /* this machine: its own addresses, a process in no workload */
	CF_POLICY_ID_CLOSED = 5,    /* a workload that policies select and that can't be told from others: for want of
				       room, or by an address of several; it reaches and is reached by nobody */
	CF_POLICY_ID_NODE = 6,	    /* an address of another node of the cluster */
	CF_POLICY_ID_FIRST = 16,
};

enum cf_policy_settings_flags {
	CF_POLICY_ON = 1,
	CF_POLICY_HAS_NETNS = 2, /* policy_locals has some */
	CF_POLICY_HAS_CGROUPS = 4,
	CF_POLICY_HAS_RANGES = 8,
	CF_POLICY_HAS_OUT = 16, /* some target has something to say about what goes out */
	CF_POLICY_FULL = 64, /* not all workloads' addresses had room: one that is not known is CF_POLICY_ID_CLOSED */
	CF_POLICY_BOOT = 32, /* no agent has read its policies since boot: see struct cf_policy_boot */
};

enum cf_policy_unknown { CF_POLICY_UNKNOWN_DENY = 0, CF_POLICY_UNKNOWN_ALLOW = 1, CF_POLICY_UNKNOWN_AUDIT = 2 };

struct cf_policy_settings {
	__u64 generation;  /* of all that a verdict depends on: cached ones of another generation are made anew */
	__u64 hash_key[2]; /* of identities: this machine's, made once */
	__u64 zero;	   /* 0, which the verifier can't know: see policy_settled() */
	__u32 flags;	   /* enum cf_policy_settings_flags */
	__u32 unknown;	   /* enum cf_policy_unknown */
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_settings) == 40, "cf_policy_settings");

/* While CF_POLICY_BOOT is set: sockets of other network namespaces than the machine's own are cut off. */
struct cf_policy_boot {
	__u64 since_ns;	  /* of CLOCK_REALTIME */
	__u32 host_netns; /* inode number */
	__u32 pad;
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_boot) == 16, "cf_policy_boot");

enum cf_policy_local_kind { CF_POLICY_LOCAL_NETNS = 1, CF_POLICY_LOCAL_CGROUP = 2 };

struct cf_policy_local {
	__u64 id;
	__u32 kind;
	__u32 pad;
};

struct cf_policy_range {
	__u32 prefix_length;
	__u8 address[16];
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_range) == 20, "cf_policy_range");

enum cf_policy_direction { CF_POLICY_IN, CF_POLICY_OUT, CF_POLICY_DIRECTIONS };

enum cf_policy_target_flags {
	CF_POLICY_HAS_ALLOW = 1,       /* what no rule allows is denied */
	CF_POLICY_HAS_DRY_ALLOW = 2,   /* likewise, in audit mode */
	CF_POLICY_CLOSED = 4,	       /* a policy that selects it could not be loaded: everything is denied */
	CF_POLICY_AUTHORIZED = 8,      /* AuthorizationPolicies select it */
	CF_POLICY_ISOLATED = 16,       /* NetworkPolicies do: what none of them allows is denied, but the node */
	CF_POLICY_NETWORK_CLOSED = 32, /* likewise, and one of them could not be loaded */
};

struct cf_policy_side {
	__u32 table;
	__u32 flags; /* enum cf_policy_target_flags; 0: no policy says anything about this direction */
};

struct cf_policy_target {
	struct cf_policy_side side[CF_POLICY_DIRECTIONS];
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_target) == 16, "cf_policy_target");

struct cf_policy_rule_key {
	__u64 peer; /* an identity, or CF_POLICY_ID_ANY */
	__u32 table;
	__u16 port; /* 0: any */
	__u8 protocol;
	__u8 pad;
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_rule_key) == 16, "cf_policy_rule_key");

struct cf_policy_block_key {
	__u32 prefix_length; /* 64 more than the address's */
	__u32 table;
	__u16 port; /* 0: any */
	__u8 protocol;
	__u8 pad;
	__u8 address[16];
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_block_key) == 28, "cf_policy_block_key");

enum cf_policy_say {
	CF_POLICY_SAY_DENY,
	CF_POLICY_SAY_ALLOW,
	CF_POLICY_SAY_DRY_DENY, /* of policies in audit mode */
	CF_POLICY_SAY_DRY_ALLOW,
	CF_POLICY_SAY_AUDIT,
	CF_POLICY_SAY_NETWORK_ALLOW, /* of NetworkPolicies */
	CF_POLICY_SAYS,
};

/* What rules say that match: bit 1 << enum cf_policy_say, and which rule is the first that does (0: not counted). */
struct cf_policy_rule {
	__u32 says;
	__u32 rule[CF_POLICY_SAYS];
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_rule) == 28, "cf_policy_rule");

/* Every connection that is judged, and every datagram, has exactly one of these in each direction, at the caller's
 * socket and at the called one's; from CF_POLICY_V_DENIED on it is refused. */
enum cf_policy_verdict {
	CF_POLICY_V_UNSELECTED,	     /* no policy selects the workload */
	CF_POLICY_V_OWN,	     /* a workload to itself, which no policy is asked about */
	CF_POLICY_V_ALLOWED,	     /* a rule allows it */
	CF_POLICY_V_NOT_DENIED,	     /* policies select the workload, none of them ALLOW, and none denies it */
	CF_POLICY_V_ANSWER,	     /* UDP, to whoever had spoken first */
	CF_POLICY_V_WOULD_DENY,	     /* a rule in audit mode would deny it */
	CF_POLICY_V_WOULD_NOT_ALLOW, /* no rule allows it, and that is in audit mode */
	CF_POLICY_V_NODE,	     /* this machine, which NetworkPolicies keep from nobody */
	CF_POLICY_V_UNKNOWN_PASSED,  /* the peer is not known yet, and policy.unknown is allow */
	CF_POLICY_V_UNKNOWN_AUDITED, /* the same with audit */
	CF_POLICY_V_DENIED,	     /* a rule denies it */
	CF_POLICY_V_NOT_ALLOWED,     /* ALLOW policies select the workload, and no rule of them allows it */
	CF_POLICY_V_NOT_IN_NETWORK,  /* NetworkPolicies isolate the workload, and no rule of them allows it */
	CF_POLICY_V_UNKNOWN_DENIED,  /* the peer is not known yet, and policy.unknown is deny */
	CF_POLICY_V_CLOSED,	     /* a policy of the workload could not be loaded */
	CF_POLICY_V_UNREADABLE,	     /* headers that can't be followed, at a socket of this machine */
	CF_POLICY_V_BOOT,	     /* a packet, while no agent has read its policies since boot */
	CF_POLICY_V_MAX,
};

/* Those that policy_events tells of. */
static inline int cf_policy_is_told(enum cf_policy_verdict verdict)
{
	return verdict >= CF_POLICY_V_DENIED || verdict == CF_POLICY_V_WOULD_DENY ||
	       verdict == CF_POLICY_V_WOULD_NOT_ALLOW || verdict == CF_POLICY_V_UNKNOWN_AUDITED;
}

/* Which rules those are, the agent knows that wrote this generation, or a later one. */
struct cf_policy_judgment {
	__u64 generation;   /* of the settings */
	__u32 rule;	    /* that decided; 0: none did, or it is not counted */
	__u32 network_rule; /* of a NetworkPolicy that allows it too */
	__u32 verdict;	    /* enum cf_policy_verdict */
	__u32 pad;
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_judgment) == 24, "cf_policy_judgment");

enum { CF_POLICY_EVENT_VERSION = 1 };

/* A connection or datagram that was refused, or would be.  The same workload, peer, port and verdict once a second (of
 * connect(), of packets, and of connections that stood); the others of that second are in the next one's `packets`, and
 * in CF_POLICY_C_HELD_BACK. */
struct cf_policy_event {
	struct cf_event_head head;
	__u64 time_ns;	 /* CLOCK_MONOTONIC */
	__u64 cgroup_id; /* of the socket, or of who connects */
	__u64 packets; /* this one, and those since the last that was told; connect() calls for TCP's that sent none */
	struct cf_policy_judgment judgment;
	__u8 local[16]; /* zeros, and the port 0: who connects has none yet */
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 direction;	  /* enum cf_policy_direction */
	__u8 established; /* a TCP connection that stood */
	__u8 pad;
	__u32 tgid; /* of who connects or sends; 0: not known */
	char comm[CF_COMM_LEN];
	__u32 pad_end;
};
CF_STATIC_ASSERT(sizeof(struct cf_policy_event) == 120, "cf_policy_event");

/* policy_counters: the verdicts of each direction, then these. */
enum cf_policy_counter {
	CF_POLICY_C_AUDITED = 2 * CF_POLICY_V_MAX, /* matched by an AUDIT rule */
	CF_POLICY_C_DROPPED,			   /* packets, of connections that were refused before too */
	CF_POLICY_C_REJUDGED,			   /* established connections, for another generation */
	CF_POLICY_C_HELPER_FAILED,		   /* a verdict could not be kept: made anew with the next packet */
	CF_POLICY_C_TOLD,			   /* events written to policy_events */
	CF_POLICY_C_HELD_BACK,			   /* refusals that wait for the next event */
	CF_POLICY_C_LOST,			   /* events: the ring was full */
	CF_POLICY_C_MAX,
};

/* What is known of an unknown peer's rights, by what the settings say. */
static inline enum cf_policy_verdict cf_policy_unknown_verdict(__u32 unknown)
{
	return unknown == CF_POLICY_UNKNOWN_ALLOW   ? CF_POLICY_V_UNKNOWN_PASSED
	       : unknown == CF_POLICY_UNKNOWN_AUDIT ? CF_POLICY_V_UNKNOWN_AUDITED
						    : CF_POLICY_V_UNKNOWN_DENIED;
}

/*
 * The precedence.  Two layers, and both have to let it pass.  AuthorizationPolicies as Istio's: DENY first; where any
 * ALLOW policy selects the workload, what none of them allows is denied; else it passes.  NetworkPolicies: where any
 * selects the workload for this direction, what none of them allows is denied, but this machine's own traffic.  One
 * text for the kernel and for whoever asks what the kernel would do.
 */
static inline enum cf_policy_verdict cf_policy_decide(__u32 flags, __u64 peer, __u32 unknown, __u32 says)
{
	const __u32 allow = 1U << CF_POLICY_SAY_ALLOW, dry_allow = 1U << CF_POLICY_SAY_DRY_ALLOW;
	const __u32 network_allow = 1U << CF_POLICY_SAY_NETWORK_ALLOW;

	if (!flags)
		return CF_POLICY_V_UNSELECTED;
	if (flags & CF_POLICY_CLOSED || peer == CF_POLICY_ID_CLOSED)
		return CF_POLICY_V_CLOSED;
	if (says & 1U << CF_POLICY_SAY_DENY)
		return CF_POLICY_V_DENIED;
	if (flags & CF_POLICY_ISOLATED && peer != CF_POLICY_ID_HOST) {
		if (flags & CF_POLICY_NETWORK_CLOSED)
			return CF_POLICY_V_CLOSED;
		if (!(says & network_allow))
			return peer == CF_POLICY_ID_UNKNOWN ? cf_policy_unknown_verdict(unknown)
							    : CF_POLICY_V_NOT_IN_NETWORK;
	}
	if (peer == CF_POLICY_ID_UNKNOWN && flags & CF_POLICY_AUTHORIZED)
		return cf_policy_unknown_verdict(unknown);
	if (flags & CF_POLICY_HAS_ALLOW && !(says & allow))
		return CF_POLICY_V_NOT_ALLOWED;
	if (says & 1U << CF_POLICY_SAY_DRY_DENY)
		return CF_POLICY_V_WOULD_DENY;
	if (flags & CF_POLICY_HAS_DRY_ALLOW && !(says & (allow | dry_allow)))
		return CF_POLICY_V_WOULD_NOT_ALLOW;
	if (says & (allow | network_allow))
		return CF_POLICY_V_ALLOWED;
	return flags & CF_POLICY_ISOLATED ? CF_POLICY_V_NODE : CF_POLICY_V_NOT_DENIED;
}

#endif
