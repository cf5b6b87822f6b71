/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* A DNS message becomes a pending query, or the end of one: a record for the agent. */
#ifndef CORTEXFLOW_LIB_DNS_MATCH_H
#define CORTEXFLOW_LIB_DNS_MATCH_H

#include "bpf/lib/dns_maps.h"
#include "bpf/lib/dns_message.h"
#include "bpf/lib/dns_owner.h"
#include "bpf/lib/packet.h"

enum {
	SHORT_NAME = 64, /* most names: their records take less of the ring */
	/* Data in the ring at which the agent is woken at once; below, it comes by itself every few milliseconds. */
	WAKE_BYTES = 256 << 10,
};

/* What a new entry starts as. */
static const struct cf_dns_query empty_query;

static __always_inline __u64 ring_flags(void)
{
	return bpf_ringbuf_query(&dns_events, BPF_RB_AVAIL_DATA) >= WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/*
 * A packet's socket as global functions can take it: `id` is its cookie * 2 + (1 for what comes from the server), and
 * `socket` the client's and the server's port, the transport, and whether the packet is IPv6.
 */
static __always_inline __u64 pack_socket(__u16 client_port, __u16 server_port, __u8 transport, bool is_v6)
{
	return (__u64)client_port << 48 | (__u64)server_port << 32 | (__u32)transport << 8 | is_v6;
}

/* The key of the packet's messages, but for their id. */
static __always_inline int fill_key(struct cf_dns_key *key, struct __sk_buff *skb, __u64 id, __u64 socket)
{
	bool to_server = !(id & 1);

	__builtin_memset(key, 0, sizeof(*key));
	key->cookie = id >> 1;
	key->client_port = socket >> 48;
	key->server_port = socket >> 32;
	key->transport = socket >> 8;
	return packet_addresses(skb, socket & 1, to_server ? key->client : key->server,
				to_server ? key->server : key->client);
}

struct ending {
	__u64 now;
	__u16 flags;
	__u16 rcode;
	__u16 answers;
	__u16 size;
	__u8 outcome;
	__u8 has_query;
};

/* Everything of the record but the name. */
static __always_inline void fill_record(struct cf_dns_lookup *r, const struct cf_dns_key *key, const struct ending *e,
					const struct cf_dns_query *q, __u32 length)
{
	r->head.type = CF_EVENT_DNS_LOOKUP;
	r->head.version = CF_DNS_LOOKUP_VERSION;
	r->head.len = length;
	r->end_ns = e->now;
	__builtin_memcpy(&r->key, key, sizeof(*key));
	r->answer_flags = e->flags;
	r->rcode = e->rcode;
	r->answers = e->answers;
	r->answer_size = e->size;
	r->outcome = e->outcome;
	r->has_query = e->has_query;
	__builtin_memset(r->pad, 0, sizeof(r->pad));
	__builtin_memcpy(&r->query, q, offsetof(struct cf_dns_query, name));
}

/* Takes the lookup out of the pending table: false if it was out already, by another CPU or the agent's sweep. */
static __always_inline bool take_out(const struct cf_dns_key *key)
{
	if (bpf_map_delete_elem(&dns_pending, key))
		return false;
	count(CF_DNS_C_EMITTED);
	return true;
}

/* `r`, filled, goes to the agent if the lookup is ours to take out. */
static __always_inline bool submit_taken(struct cf_dns_lookup *r, const struct cf_dns_key *key)
{
	if (!take_out(key)) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return false;
	}
	bpf_ringbuf_submit(r, ring_flags());
	return true;
}

/*
 * Takes the lookup out of the pending table and offers its record to the ring.  False if it was out already: then it
 * has its record, and none is written.
 */
static __always_inline bool end_lookup(const struct cf_dns_key *key, const struct ending *e,
				       const struct cf_dns_query *q)
{
	struct cf_dns_lookup *r;

	if (q->name_len <= SHORT_NAME) {
		r = bpf_ringbuf_reserve(&dns_events, CF_DNS_LOOKUP_FIXED + SHORT_NAME, 0);
		if (r) {
			fill_record(r, key, e, q, CF_DNS_LOOKUP_FIXED + SHORT_NAME);
			__builtin_memcpy(r->query.name, q->name, SHORT_NAME);
			return submit_taken(r, key);
		}
	} else {
		r = bpf_ringbuf_reserve(&dns_events, sizeof(*r), 0);
		if (r) {
			fill_record(r, key, e, q, sizeof(*r));
			__builtin_memcpy(r->query.name, q->name, CF_DNS_NAME_ROOM);
			return submit_taken(r, key);
		}
	}
	if (!take_out(key))
		return false;
	count(CF_DNS_C_LOST_RING_FULL);
	return true;
}

/* Owner and network namespace of the packet's socket, as far as they are known. */
static __always_inline void describe_socket(struct __sk_buff *skb, struct cf_dns_query *q)
{
	__u64 pointer = (__u64)skb->sk;
	struct cf_owner *owner;
	__u64 address = 0;
	struct sock *sk;

	if (!pointer)
		return;
	owner = bpf_map_lookup_elem(&dns_owners, &pointer);
	if (owner)
		q->owner = *owner;
	/* The verifier follows `pointer` as a socket and forbids arithmetic on it; read back, it is a number. */
	if (bpf_probe_read_kernel(&address, sizeof(address), &pointer)) {
		count(CF_DNS_C_HELPER_FAILED);
		return;
	}
	sk = (struct sock *)address;
	q->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void start_lookup(const struct dns_message *m, struct cf_dns_query *q,
					 const struct dns_header *h)
{
	__u64 now = bpf_ktime_get_ns();

	q->cgroup_id = bpf_skb_cgroup_id(m->skb);
	describe_socket(m->skb, q);
	q->flags = bpf_ntohs(h->flags);
	q->size = m->size;
	q->transmissions = 1;
	q->last_ns = now;
	q->first_ns = now; /* last: from here on the sweep takes the entry as whole */
}

/* The table has no room: say so in a record that carries what the message says. */
static __always_inline void report_untracked(const struct dns_message *m, const struct cf_dns_key *key,
					     const struct dns_header *h)
{
	struct cf_dns_lookup *r;

	count(CF_DNS_C_PENDING_FULL);
	count(CF_DNS_C_EMITTED);
	r = bpf_ringbuf_reserve(&dns_events, sizeof(*r), 0);
	if (!r) {
		count(CF_DNS_C_LOST_RING_FULL);
		return;
	}
	struct ending e = {.now = bpf_ktime_get_ns(), .outcome = CF_DNS_UNTRACKED, .has_query = 1};

	fill_record(r, key, &e, &empty_query, sizeof(*r));
	__builtin_memset(r->query.name, 0, CF_DNS_NAME_ROOM);
	__u32 error = message_read_question(m, h, &r->query);

	if (error) {
		count(error);
		count(CF_DNS_C_LOST_NOT_PARSED);
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return;
	}
	start_lookup(m, &r->query, h);
	bpf_ringbuf_submit(r, ring_flags());
}

static __always_inline void on_query(const struct dns_message *m, struct cf_dns_key *key, const struct dns_header *h)
{
	struct cf_dns_query *q = bpf_map_lookup_elem(&dns_pending, key);
	__u32 error;
	long rc;

	if (q) {
		if (message_asks(m, q)) {
			count(CF_DNS_C_QUERIES);
			count(CF_DNS_C_RETRANSMITS);
			__sync_fetch_and_add(&q->transmissions, 1);
			q->last_ns = bpf_ktime_get_ns();
			return;
		}
		struct ending e = {.now = bpf_ktime_get_ns(), .outcome = CF_DNS_SUPERSEDED, .has_query = 1};

		if (q->first_ns)
			end_lookup(key, &e, q);
		else
			bpf_map_delete_elem(&dns_pending, key);
	}
	rc = bpf_map_update_elem(&dns_pending, key, &empty_query, BPF_NOEXIST);
	if (rc == 0)
		q = bpf_map_lookup_elem(&dns_pending, key);
	if (rc || !q) {
		count(CF_DNS_C_QUERIES);
		report_untracked(m, key, h);
		return;
	}
	error = message_read_question(m, h, q);
	if (error) {
		count(error);
		bpf_map_delete_elem(&dns_pending, key);
		return;
	}
	count(CF_DNS_C_QUERIES);
	start_lookup(m, q, h);
}

/* An answer that has no pending query: a second one, a late one, or one that nobody asked for. */
static __always_inline void on_stray_answer(const struct dns_message *m, struct cf_dns_key *key, struct ending *e,
					    const struct dns_header *h)
{
	__u64 fingerprint = cf_dns_fingerprint(key);
	__u32 index = cf_dns_recent_index(fingerprint);
	__u64 *ended = bpf_map_lookup_elem(&dns_recent, &index);
	struct cf_dns_lookup *r;

	e->has_query = 0;
	e->outcome = CF_DNS_UNMATCHED;
	if (ended && (*ended | 1) == (fingerprint | 1))
		e->outcome = *ended & 1 ? CF_DNS_LATE : CF_DNS_ANSWERED_TWICE;
	count(CF_DNS_C_EMITTED);
	r = bpf_ringbuf_reserve(&dns_events, sizeof(*r), 0);
	if (!r) {
		count(CF_DNS_C_LOST_RING_FULL);
		return;
	}
	fill_record(r, key, e, &empty_query, sizeof(*r));
	__builtin_memset(r->query.name, 0, CF_DNS_NAME_ROOM);
	if (h->questions) {
		__u32 error = message_read_question(m, h, &r->query);

		if (error) {
			count(error);
			count(CF_DNS_C_LOST_NOT_PARSED);
			bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
			return;
		}
	} else {
		r->query.name_len = 1; /* the root, for want of a question */
	}
	r->query.cgroup_id = bpf_skb_cgroup_id(m->skb);
	describe_socket(m->skb, &r->query);
	bpf_ringbuf_submit(r, ring_flags());
}

static __always_inline void remember_answered(const struct cf_dns_key *key)
{
	__u64 fingerprint = cf_dns_fingerprint(key);
	__u32 index = cf_dns_recent_index(fingerprint);
	__u64 *place = bpf_map_lookup_elem(&dns_recent, &index);

	if (place)
		*place = fingerprint & ~1ULL;
}

static __always_inline void on_answer(const struct dns_message *m, struct cf_dns_key *key, const struct dns_header *h)
{
	struct cf_dns_query *q = bpf_map_lookup_elem(&dns_pending, key);
	struct ending e = {
		.now = bpf_ktime_get_ns(),
		.flags = bpf_ntohs(h->flags),
		.rcode = bpf_ntohs(h->flags) & 0xf,
		.answers = bpf_ntohs(h->answers),
		.size = m->size,
		.outcome = CF_DNS_ANSWERED,
		.has_query = 1,
	};

	count(CF_DNS_C_ANSWERS);
	if (q && q->first_ns) {
		if (h->questions) { /* an answer repeats its query's question (RFC 1035 4.1.1): same length */
			int opt = message_opt(m, h, sizeof(*h) + q->name_len + 4);

			if (opt != OPT_ABSENT)
				e.rcode |= (__u16)(opt & 0xff) << 4;
		}
		if (!q->owner.tgid) /* a hook that fires behind the packet may have named it since */
			describe_socket(m->skb, q);
		remember_answered(key); /* before it is taken out, so that a further answer finds one or the other */
		if (end_lookup(key, &e, q))
			return;
	}
	on_stray_answer(m, key, &e, h);
}

/* A whole message, or as much of its start as was kept. */
static __always_inline void on_message(const struct dns_message *m, __u64 id, __u64 socket)
{
	bool to_server = !(id & 1);
	struct cf_dns_key key;
	struct dns_header h;
	__u16 flags;

	count(CF_DNS_C_PACKETS);
	if (message_read(m, 0, &h, sizeof(h))) {
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	flags = bpf_ntohs(h.flags);
	if (!!(flags & CF_DNS_QR) == to_server)
		return; /* this machine's own server talking from a watched port to a watched port */
	if ((flags >> CF_DNS_OPCODE_SHIFT) & 0xf) {
		count(CF_DNS_C_ERR_OPCODE);
		return;
	}
	if (bpf_ntohs(h.questions) != 1 && (to_server || h.questions)) {
		count(CF_DNS_C_ERR_QDCOUNT);
		return;
	}
	if (fill_key(&key, m->skb, id, socket)) {
		count(CF_DNS_C_ERR_IPHEADER);
		return;
	}
	key.id = bpf_ntohs(h.id);
	if (to_server)
		on_query(m, &key, &h);
	else
		on_answer(m, &key, &h);
}

/*
 * The message in the packet's `size` octets from `at` on, or, where `at` is 0, in stream `id`'s head.  A global
 * function, so that it is verified once.
 */
__noinline int message_seen(struct __sk_buff *skb, __u64 id, __u64 socket, __u32 at, __u32 size)
{
	struct dns_message m = {.skb = skb, .stream_id = id, .offset = at, .size = size, .readable = size};

	if (!at) {
		m.stream = bpf_map_lookup_elem(&dns_streams, &id);
		if (!m.stream)
			return 0;
		m.size = m.stream->length;
		m.readable = m.size < STREAM_HEAD ? m.size : STREAM_HEAD;
	}
	on_message(&m, id, socket);
	return 0;
}

#endif
