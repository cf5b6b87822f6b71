/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the DNS programs (bpf/observe/dns.bpf.c) and the agent tell each other: ring buffer records, map keys and
 * values, counters, limits.  Included by clang for the bpf target and by the C++ compiler; both check the layout below.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC (bpf_ktime_get_ns).  Addresses are 16 octets in network order, IPv4 as
 * ::ffff:a.b.c.d (RFC 4291 2.5.5.2).  Ports and DNS header fields are in host order.
 */
#ifndef CORTEXFLOW_ABI_DNS_H
#define CORTEXFLOW_ABI_DNS_H

#include "bpf/abi/event.h"

enum {
	CF_DNS_NAME_MAX = 255,	    /* RFC 1035 2.3.4: octets of a name on the wire, length octets and root included */
	CF_DNS_NAME_ROOM = 256,	    /* the same, rounded up */
	CF_DNS_PORTS_MAX = 8,	    /* server ports watched at once */
	CF_DNS_PENDING_MAX = 32768, /* queries waiting for an answer; when full, the query is counted and not matched */
	CF_DNS_RECENT_MAX = 65536,  /* ended lookups remembered to tell late and second answers; a power of two */
	CF_DNS_OWNERS_MAX = 16384,  /* sockets whose process is known; LRU */
	CF_DNS_STREAMS_MAX = 2048,  /* TCP directions being reassembled; LRU */
	CF_DNS_RING_BYTES = 4 << 20,
};

enum { CF_DNS_LOOKUP_VERSION = 1 };

enum cf_transport {
	CF_TRANSPORT_UDP = 1,
	CF_TRANSPORT_TCP = 2,
};

/* How a lookup ended.  One record a lookup, written when it ends. */
enum cf_dns_outcome {
	CF_DNS_ANSWERED = 1,	   /* the first answer to a pending query */
	CF_DNS_TIMED_OUT = 2,	   /* nobody answered in time; written by the agent's sweep, never by the kernel */
	CF_DNS_ANSWERED_TWICE = 3, /* a further answer to a query that was answered */
	CF_DNS_LATE = 4,	   /* an answer to a query that had timed out */
	CF_DNS_UNMATCHED = 5,	   /* an answer to a query that was never seen */
	CF_DNS_SUPERSEDED = 6,	   /* the socket sent another question under the same id before an answer came */
	CF_DNS_UNTRACKED = 7,	   /* a query that found the pending table full: its end is not known */
};

/* Which hook named the process. */
enum cf_dns_owner_source {
	CF_OWNER_UNKNOWN = 0,
	CF_OWNER_KPROBE = 1,
	CF_OWNER_CGROUP = 2,
	CF_OWNER_TRACEPOINT = 3,
};

/* DNS header flags (RFC 1035 4.1.1, RFC 4035 3.2), in their place in the second 16 bits of the header. */
enum {
	CF_DNS_QR = 0x8000,
	CF_DNS_AA = 0x0400,
	CF_DNS_TC = 0x0200,
	CF_DNS_RD = 0x0100,
	CF_DNS_RA = 0x0080,
	CF_DNS_AD = 0x0020,
	CF_DNS_CD = 0x0010,
	CF_DNS_OPCODE_SHIFT = 11,
};

/* The process that owns a socket, by its latest send or connect. */
struct cf_owner {
	__u32 tgid;
	__u32 source; /* enum cf_dns_owner_source */
	char comm[CF_COMM_LEN];
};
CF_STATIC_ASSERT(sizeof(struct cf_owner) == 24, "cf_owner");

/* A lookup's identity: the client's socket, its whole tuple and the DNS id. */
struct cf_dns_key {
	__u8 client[16];
	__u8 server[16];
	__u64 cookie; /* socket cookie: unique over all network namespaces until reboot */
	__u16 client_port;
	__u16 server_port;
	__u16 id;
	__u8 transport; /* enum cf_transport */
	__u8 pad;
};
CF_STATIC_ASSERT(sizeof(struct cf_dns_key) == 48, "cf_dns_key");

/* What a query's message says, and who sent it. */
struct cf_dns_query {
	__u64 first_ns;	 /* first transmission */
	__u64 last_ns;	 /* latest transmission */
	__u64 cgroup_id; /* of the client's socket, cgroup v2 */
	struct cf_owner owner;
	__u32 netns;	     /* inode number of the client's network namespace, 0 where the kernel won't tell */
	__u32 transmissions; /* 1, and one for each time the same query was sent again */
	__u16 flags;	     /* second word of the DNS header */
	__u16 qtype;
	__u16 qclass;
	__u16 edns_size; /* the requestor's UDP payload size (RFC 6891 6.2.3), 0 without EDNS */
	__u16 name_len;	 /* octets in name, the root's 0 included */
	__u16 size;	 /* octets of the DNS message */
	__u32 pad;
	__u8 name[CF_DNS_NAME_ROOM]; /* as on the wire: length octet and label, ended by 0 */
};
CF_STATIC_ASSERT(sizeof(struct cf_dns_query) == 328, "cf_dns_query");

/* The record of an ended lookup.  In the ring it is cut after query.name_len octets of the name. */
struct cf_dns_lookup {
	struct cf_event_head head;
	__u64 end_ns; /* when it ended */
	struct cf_dns_key key;
	__u16 answer_flags; /* second word of the answer's header, 0 where there was none */
	__u16 rcode;	    /* with the extended bits of its OPT record (RFC 6891 6.1.3) */
	__u16 answers;	    /* ANCOUNT */
	__u16 answer_size;  /* octets of the answer's DNS message */
	__u8 outcome;	    /* enum cf_dns_outcome */
	__u8 has_query;	    /* 0 where only the answer was seen: then query.first_ns, last_ns, transmissions are 0 */
	__u8 pad[6];
	struct cf_dns_query query; /* last: its name is the record's tail */
};
CF_STATIC_ASSERT(sizeof(struct cf_dns_lookup) == 408, "cf_dns_lookup");
enum { CF_DNS_LOOKUP_FIXED = sizeof(struct cf_dns_lookup) - CF_DNS_NAME_ROOM };

/*
 * Ended lookups, remembered until another falls on the same place: a table of CF_DNS_RECENT_MAX words, indexed by the
 * lower bits of the key's fingerprint.  A word is that fingerprint with its lowest bit for the outcome: 1 for timed
 * out, 0 for answered.  The fingerprint mixes the key's words as FNV-1a mixes octets.
 */
static inline __u64 cf_dns_fingerprint(const struct cf_dns_key *key)
{
	__u64 hash = 0xcbf29ce484222325ULL;
	__u64 words[sizeof(*key) / sizeof(hash)];
	unsigned int i;

	__builtin_memcpy(words, key, sizeof(words));
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return hash;
}

static inline __u32 cf_dns_recent_index(__u64 fingerprint)
{
	return (fingerprint >> 1) & (CF_DNS_RECENT_MAX - 1);
}

/* Per-CPU counters, index into the dns_counters map. */
enum cf_dns_counter {
	CF_DNS_C_PACKETS = 0,	  /* packets to or from a watched port that reached the parser */
	CF_DNS_C_QUERIES,	  /* DNS queries read */
	CF_DNS_C_RETRANSMITS,	  /* of these: the same query sent again */
	CF_DNS_C_ANSWERS,	  /* DNS answers read */
	CF_DNS_C_EMITTED,	  /* records offered to the ring */
	CF_DNS_C_LOST_RING_FULL,  /* of these: the ring had no room */
	CF_DNS_C_LOST_NOT_PARSED, /* of these: no question could be read from the message */
	CF_DNS_C_PENDING_FULL,	  /* queries that the pending table had no room for */
	CF_DNS_C_HELPER_FAILED,	  /* a kernel helper failed where it should not */
	CF_DNS_C_ERR_SHORT,	  /* message or packet ends too soon */
	CF_DNS_C_ERR_NAME,	  /* name too long, label type not 00, or runs past the message */
	CF_DNS_C_ERR_QDCOUNT,	  /* not exactly one question */
	CF_DNS_C_ERR_OPCODE,	  /* not a QUERY (NOTIFY, UPDATE...): not followed */
	CF_DNS_C_ERR_IPHEADER,	  /* IP header can't be followed (bad length, too many extension headers) */
	CF_DNS_C_ERR_FRAGMENT,	  /* a later fragment: has no ports */
	CF_DNS_C_ERR_TCP_GAP,	  /* a TCP stream was lost: segment missing, out of order, or seen from the middle */
	CF_DNS_C_ERR_MANY,	  /* more messages in one segment, or datagrams in one packet, than are followed */
	CF_DNS_C_MAX,
};

/* What the agent sets before and while the programs run. */
struct cf_dns_settings {
	__u16 ports[CF_DNS_PORTS_MAX]; /* network order; 0 ends the list */
};

#endif
