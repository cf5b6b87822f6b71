/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The tables of service translation (bpf/mesh/service.bpf.c): what the agent writes and the kernel reads, and what the
 * kernel counts.  Included by clang for the bpf target and by the C++ compiler; both check the layout below.
 *
 *   address, port, protocol -> svc_frontends -> service number
 *   service number          -> svc_services  -> a table and how many slots of it count
 *   service, caller's version -> svc_subsets -> another table for callers of that version
 *   table, slot             -> svc_slots     -> backend number
 *   backend number          -> svc_backends  -> address and port, and whose backend it is
 *   caller (cgroup, network namespace) -> svc_callers -> its version, and what it hashes to
 *
 * Tables are edited in place, slot by slot.  The order of writing (agent/compile/operations.h) keeps every state in
 * between whole: what is pointed to is there before what points to it, and goes after it.  A reader that comes to a
 * slot that has just gone reads the service again.  Numbers are not used again while the maps live.
 *
 * Addresses are 16 octets in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2).  Ports are in host order.
 */
#ifndef CORTEXFLOW_ABI_SERVICE_H
#define CORTEXFLOW_ABI_SERVICE_H

#ifdef __bpf__
#include <vmlinux.h>
#else
#include <linux/types.h>
#endif

#ifdef __cplusplus
#define CF_SVC_STATIC_ASSERT static_assert
#else
#define CF_SVC_STATIC_ASSERT _Static_assert
#endif

enum {
	CF_SVC_FRONTENDS_MAX = 131072, /* addresses and ports of services */
	CF_SVC_SERVICES_MAX = 65536,   /* service ports */
	CF_SVC_SUBSETS_MAX = 65536,    /* (service port, caller's version) */
	CF_SVC_SLOTS_MAX = 1048576,    /* over all tables */
	CF_SVC_BACKENDS_MAX = 262144,
	CF_SVC_CALLERS_MAX = 65536, /* workloads of this node whose version is known */
	CF_SVC_AVOIDED_MAX = 65536, /* backends that something is known against */
	CF_SVC_AVOIDED_REASON = 104,
	CF_SVC_AFFINITY_MAX = 131072,	/* (service, client) pairs that keep their backend; LRU */
	CF_SVC_PEERS_MAX = 65536,	/* (UDP socket, service) pairs that keep their backend, and back again; LRU */
	CF_SVC_LEAST_SCAN = 64,		/* backends that CF_SVC_LEAST_CONNECTIONS compares, from a moving start */
	CF_SVC_TABLE_SLOTS_MAX = 16384, /* of one table: a service with more is refused */
	CF_SVC_LATENCY_BUCKETS = 20,	/* of connect latency: bucket i below 32 us << i, the last without a limit */
	CF_SVC_LATENCY_FIRST_US = 32,
};

struct cf_svc_address {
	__u8 address[16];
	__u16 port;
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_svc_address) == 20, "cf_svc_address");

struct cf_svc_frontend {
	__u32 service;
};

enum cf_svc_algorithm {
	CF_SVC_ROUND_ROBIN = 1, /* the table's slots in their order; weights are in the table (see compile/) */
	CF_SVC_RANDOM = 2,
	CF_SVC_LEAST_CONNECTIONS = 3,
	CF_SVC_HASH = 4,	  /* the table is a Maglev table, the slot the caller's hash */
	CF_SVC_LEAST_LATENCY = 5, /* of two random slots, the one that answers sooner (service_cost.h) */
};

enum cf_svc_flags {
	CF_SVC_BY_VERSION = 1, /* look into svc_subsets for callers whose version is known */
	CF_SVC_REFUSE = 2, /* no backend: connecting fails at once, with ECONNREFUSED where the kernel lets us say so */
	CF_SVC_REFUSE_EPERM = 4, /* the circuit breaker refuses with EPERM instead */
};

/* One port of a service.  One update changes table and size together. */
struct cf_service {
	__u32 table;
	__u32 size;	       /* slots that count; 0 only with CF_SVC_REFUSE */
	__u8 algorithm;	       /* enum cf_svc_algorithm */
	__u8 flags;	       /* enum cf_svc_flags */
	__u16 owner;	       /* 16 bits of a hash of NAMESPACE/NAME, for the agent that comes after; 0: not noted */
	__u32 affinity_s;      /* 0: none */
	__u32 max_connections; /* circuit breaker: more at once are refused; 0: no limit */
	__u32 max_pending;     /* likewise of TCP connections that are not established yet */
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_service) == 24, "cf_service");

struct cf_svc_subset_key {
	__u64 version; /* FNV-1a, 64 bits, of the version label's value: the same in every agent, so needs no table */
	__u32 service;
	__u32 pad;
};

/* The cursor is the table's own: callers of a version take no turns from the others.  Kernel-written, under the lock;
 * begins anew when the agent changes the size. */
struct cf_svc_subset {
	__u32 table;
	__u32 size;
	__u64 cursor;
#ifdef __bpf__
	struct bpf_spin_lock lock;
#else
	__u32 lock;
#endif
	__u32 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_svc_subset) == 24, "cf_svc_subset");

struct cf_svc_slot_key {
	__u32 table;
	__u32 index;
};

struct cf_svc_slot {
	__u32 backend;
};

enum cf_backend_flags {
	CF_SVC_BACKEND_PROBATION =
		2,		    /* was ejected: gets a connection only while it has none, until one has gone well */
	CF_SVC_BACKEND_DRAINED = 1, /* in no table, or without weight: keeps what it has, gets nobody new, clients
					with affinity neither */
};

struct cf_backend {
	__u8 address[16];
	__u16 port;
	__u8 protocol;
	__u8 flags;    /* enum cf_backend_flags */
	__u32 service; /* whose it is: checked by the kernel, against numbers that changed under a reader */
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_backend) == 24, "cf_backend");

/* How TCP connections to a backend went (bpf/observe/tcp.bpf.c).  Each ends in one of those before `established`, or in
 * that and then in one of those after. */
enum cf_svc_result {
	CF_SVC_R_REFUSED = 0, /* the backend's host answered with a reset */
	CF_SVC_R_UNREACHABLE, /* a router or the host said so by ICMP */
	CF_SVC_R_TIMED_OUT, /* nobody answered, until the kernel or, after at least one retransmission, the caller gave
			       up */
	CF_SVC_R_UNSENT,    /* connect() failed before a SYN was sent: no route, no local port left */
	CF_SVC_R_ABANDONED, /* the caller closed before there was an answer or a retransmission */
	CF_SVC_R_ESTABLISHED,
	CF_SVC_R_ENDED,	 /* closed by either side, or ended by this machine */
	CF_SVC_R_RESET,	 /* by the other side, while the caller still had its socket */
	CF_SVC_R_BROKEN, /* what was sent was not acknowledged in time */
	CF_SVC_R_MAX,
};

/* Kernel-written, one a backend, made and deleted with it.  What follows `chosen` is of watched TCP connections. */
struct cf_backend_load {
	__u64 active;			       /* sockets connected, or connecting, through us */
	__u64 chosen;			       /* times chosen */
	__u64 results[CF_SVC_R_MAX];	       /* by enum cf_svc_result */
	__u64 connect_us;		       /* from the first SYN to established, summed over those that were */
	__u64 latency[CF_SVC_LATENCY_BUCKETS]; /* the same, how many in each bucket */
	__u64 cost; /* decaying connect latency: microseconds in the upper half, when in the lower (service_cost.h)
		     */
	__u32 round_trip_us; /* the kernel's smoothed round trip at the connections' ends, averaged as RFC 6298 does */
	__u32 failures_in_row; /* connects that failed, since one was established */
	__u32 breaks_in_row;   /* connections that were reset or broken, since one ended well */
	__u32 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_backend_load) == 280, "cf_backend_load");

/* Kernel-written, one a service, made and deleted with it.  All but `lock` change under the lock. */
struct cf_service_load {
	__u64 cursor; /* of round robin: times a backend of the table for all was chosen */
	__u64 active;
	__u64 refused;	       /* by max_connections */
	__u64 refused_pending; /* by max_pending */
	__u32 pending;	       /* not established yet; counted only where there is a max_pending */
#ifdef __bpf__
	struct bpf_spin_lock lock;
#else
	__u32 lock;
#endif
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_service_load) == 40, "cf_service_load");

enum cf_svc_caller_kind {
	CF_SVC_CALLER_CGROUP = 1,  /* id: cgroup v2 id */
	CF_SVC_CALLER_NETNS = 2,   /* id: network namespace cookie (SO_NETNS_COOKIE, 5.14) */
	CF_SVC_CALLER_ADDRESS = 3, /* id: cf_svc_address_id() of the pod's address; of callers known by their packets */
};

/* A number for an address: FNV-1a over its four words, mixed as MurmurHash3 does at its end.  Greater than any cookie
 * or cgroup id there is. */
static inline __u64 cf_svc_address_id(const __u8 *address)
{
	__u64 hash = 0xcbf29ce484222325ULL;

	for (int i = 0; i < 4; i++) {
		const __u8 *at = address + 4 * i;

		hash ^= (__u64)at[0] << 24 | (__u64)at[1] << 16 | (__u64)at[2] << 8 | (__u64)at[3];
		hash *= 0x100000001b3ULL;
	}
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return (hash ^ hash >> 33) | 1ULL << 63;
}

struct cf_svc_caller_key {
	__u64 id;
	__u32 kind; /* enum cf_svc_caller_kind */
	__u32 pad;
};

struct cf_svc_caller {
	__u64 version; /* as in cf_svc_subset_key; 0: none */
	__u64 hash;    /* what it is for consistent hashing: the same on every node and after a restart */
};

struct cf_svc_affinity_key {
	__u64 client; /* network namespace cookie, or cf_svc_address_id() of a caller known by its packets */
	__u32 service;
	__u32 pad;
};

struct cf_svc_affinity {
	__u64 last_ns; /* CLOCK_MONOTONIC, of the latest use */
	__u32 backend;
	__u32 pad;
};

/* What the agent knows against a backend: for the agent that comes after it.  No program reads it. */
enum cf_svc_avoided_by {
	CF_SVC_AVOIDED_BY_CHECK = 1,	/* it is unhealthy, in all of the service's ports */
	CF_SVC_AVOIDED_BY_EJECTION = 2, /* from one service port */
};

enum cf_svc_avoided_state {
	CF_SVC_AVOIDED_BACK = 0, /* in use again; its next ejection is longer for those before */
	CF_SVC_AVOIDED_OUT = 1,
	CF_SVC_AVOIDED_PROBATION = 2,
};

struct cf_svc_avoided_key {
	__u64 owner; /* FNV-1a, 64 bits, of NAMESPACE/NAME, or of NAMESPACE/NAME/PORT */
	__u8 address[16];
	__u16 port;
	__u8 protocol;
	__u8 by; /* enum cf_svc_avoided_by */
	__u32 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_svc_avoided_key) == 32, "cf_svc_avoided_key");

struct cf_svc_avoided {
	__u64 when_ns; /* CLOCK_MONOTONIC: until when it is ejected; since when it is unhealthy */
	__u32 in_row;  /* ejections */
	__u8 state;    /* enum cf_svc_avoided_state */
	__u8 result;   /* of the latest check, as the agent numbers them */
	__u16 pad;
	__u64 established, failed, ended, broken; /* on probation: what `backend` had counted when it began */
	__u32 backend;				  /* number; 0: it had none */
	__u32 pad2;
	char reason[CF_SVC_AVOIDED_REASON]; /* in words; what is longer is cut */
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_svc_avoided) == 160, "cf_svc_avoided");

/* A UDP socket and an address that it talks with. */
struct cf_svc_peer_key {
	__u64 cookie; /* of the socket */
	struct cf_svc_address peer;
	__u32 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_svc_peer_key) == 32, "cf_svc_peer_key");

/* How far a translated TCP socket's connection has come. */
enum cf_svc_phase {
	CF_SVC_UNWATCHED = 0, /* no TCP, or nobody watches */
	CF_SVC_CHOSEN,	      /* has a backend, no SYN sent yet */
	CF_SVC_CONNECTING,
	CF_SVC_CONNECTED,
	CF_SVC_OVER, /* its result is counted */
};

/* A kernel's own socket (Multipath TCP's subflows, NFS) is never released as applications' are: observe/tcp takes it
 * into the counts when its SYN is sent, and out of them when TCP ends; where that does not run, nobody counts it. */
enum cf_svc_kernels {
	CF_SVC_KERNELS = 1,
	CF_SVC_KERNELS_PENDING = 2, /* the service has a max_pending */
};

/* What a translated socket was connected to, and what it was given. */
struct cf_svc_socket {
	struct cf_svc_address service_address;
	struct cf_svc_address backend_address;
	__u32 service;
	__u32 backend;
	__u16 counted;	/* in active, until the socket is released */
	__u16 kernels;	/* enum cf_svc_kernels */
	__u16 phase;	/* enum cf_svc_phase */
	__u16 pending;	/* counted in pending */
	__u64 since_ns; /* CLOCK_MONOTONIC, when the SYN was sent */
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_svc_socket) == 64, "cf_svc_socket");

/* A UDP socket that is connected to a backend which is in no table: what bpf/mesh/stale_sockets.bpf.c writes. */
struct cf_svc_stale_socket {
	__u64 cookie;
	struct cf_svc_address local;
	struct cf_svc_address backend;
	__u32 service;	 /* that it was connected to */
	__u32 netns;	 /* inode number of its network namespace */
	__u32 interface; /* that it is bound to; 0: to none */
	__u32 pad;
};
CF_SVC_STATIC_ASSERT(sizeof(struct cf_svc_stale_socket) == 64, "cf_svc_stale_socket");

/* Per-CPU counters, index into svc_counters. */
enum cf_svc_counter {
	CF_SVC_C_TRANSLATED = 0, /* connects and sends that were given a backend */
	CF_SVC_C_RETRIED,	 /* a slot or backend changed under the reader; it looked again */
	CF_SVC_C_LOST,		 /* and found none in the end: refused */
	CF_SVC_C_REFUSED_EMPTY,	 /* service without backends */
	CF_SVC_C_REFUSED_BREAKER,
	CF_SVC_C_REVERSED,	  /* answers and peer names given the service's address */
	CF_SVC_C_HELPER_FAILED,	  /* a map was full or a helper failed: translated without that extra */
	CF_SVC_C_REFUSED_PENDING, /* too many connections not established yet */
	CF_SVC_C_MAX,
};

#endif
