// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * DNS lookups of this machine's sockets, from the client's side: queries as they leave a socket, answers as they reach
 * it, matched here; one record a lookup goes to the agent.  On the root cgroup, so that every socket in every network
 * namespace is seen, before IP fragmentation and after reassembly, whatever interfaces there are.  Only looks.
 *
 * No per-CPU scratch memory: on its way out a packet is in process context, where a program can be preempted.
 */
#include "bpf/lib/dns_maps.h"
#include "bpf/lib/dns_message.h"
#include "bpf/lib/dns_owner.h"
#include "bpf/lib/packet.h"

enum {
	SHORT_NAME = 64, /* most names: their records take less of the ring */
	/* Data in the ring at which the agent is woken at once; below, it comes by itself every few milliseconds. */
	WAKE_BYTES = 256 << 10,
};

/* What new entries start as. */
static const struct cf_dns_query empty_query;
static const struct dns_stream empty_stream;

static __always_inline __u64 ring_flags(void)
{
	return bpf_ringbuf_query(&dns_events, BPF_RB_AVAIL_DATA) >= WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
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
 * Takes the lookup out of the pending table and offers its record to the ring.  False if it was out already: then it has
 * its record, and none is written.
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

/* A whole message, or as much of its start as was kept.  `key` lacks the id. */
static __always_inline void on_message(const struct dns_message *m, struct cf_dns_key *key, bool to_server)
{
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
	key->id = bpf_ntohs(h.id);
	if (to_server)
		on_query(m, key, &h);
	else
		on_answer(m, key, &h);
}

/*
 * Takes the next piece of a stream from the segment's octets from `at` on: the rest of a length field, of a head or of
 * what is skipped.  Returns where the next piece starts, 0 to stop.  A global function, so that it is verified once.
 */
__noinline int stream_step(struct __sk_buff *skb, __u64 id, __u32 at)
{
	struct dns_stream *s = bpf_map_lookup_elem(&dns_streams, &id);
	__u32 left, n, keep;

	if (!s || at >= skb->len || at > 0xfffff)
		return 0;
	left = skb->len - at;
	if (s->have < 2) {
		if (bpf_skb_load_bytes(skb, at, &s->prefix[s->have & 1], 1))
			return 0;
		s->have++;
		s->length = (__u32)s->prefix[0] << 8 | s->prefix[1];
		if (s->have == 2 && s->length < sizeof(struct dns_header)) {
			count(CF_DNS_C_ERR_SHORT);
			s->have = 0;
			if (s->length) /* not DNS: don't guess where the next message is */
				return 0;
		}
		return at + 1;
	}
	keep = s->length < STREAM_HEAD ? s->length : STREAM_HEAD;
	if (s->have - 2 < keep) {
		__u32 to = s->have - 2;

		n = keep - to;
		if (n > left)
			n = left;
		/*
		 * n is from 1 to STREAM_HEAD and `to` below it; masked for the verifier's sake: older ones (6.1) don't
		 * follow what clang makes of range checks.
		 */
		asm volatile("" : "+r"(n), "+r"(to));
		n = ((n - 1) & (STREAM_HEAD - 1)) + 1;
		to &= STREAM_HEAD - 1;
		if (bpf_skb_load_bytes(skb, at, s->head + to, n))
			return 0;
		s->have += n;
		if (s->have - 2 == keep) {
			struct dns_message m = {
				.skb = skb, .stream = s, .stream_id = id, .size = s->length, .readable = keep};
			struct cf_dns_key key = s->key;

			on_message(&m, &key, !(id & 1));
			if (s->have - 2 >= s->length)
				s->have = 0;
		}
		return at + n;
	}
	n = s->length + 2 - s->have;
	if (n > left)
		n = left;
	s->have += n;
	if (s->have - 2 >= s->length)
		s->have = 0;
	return at + n;
}

/* A message that lies whole in the segment, read without the stream's state.  A global function, as above. */
__noinline int whole_message(struct __sk_buff *skb, __u64 id, __u32 at, __u32 size)
{
	struct dns_stream *s = bpf_map_lookup_elem(&dns_streams, &id);
	struct dns_message m = {.skb = skb, .offset = at, .size = size, .readable = size};
	struct cf_dns_key key;

	if (!s)
		return 0;
	key = s->key;
	on_message(&m, &key, !(id & 1));
	return 0;
}

/* Reads messages from octet `at` of the segment to its end.  False if that was not reached. */
static __always_inline bool read_stream(struct __sk_buff *skb, __u64 id, __u32 at)
{
	for (int i = 0; i < STREAM_MESSAGES_MAX * 4; i++) {
		at = stream_step(skb, id, at);
		if (!at || at >= skb->len)
			break;
	}
	if (at >= skb->len)
		return true;
	count(at ? CF_DNS_C_ERR_TCP_MANY : CF_DNS_C_ERR_TCP_GAP);
	return false;
}

/* Do lengths and messages fill the segment from `at` on to the octet? */
static __always_inline bool holds_whole_messages(struct __sk_buff *skb, __u32 at)
{
	for (int i = 0; i < STREAM_MESSAGES_MAX && at < skb->len; i++) {
		__u8 prefix[2];

		if (bpf_skb_load_bytes(skb, at, prefix, sizeof(prefix)))
			return false;
		at += 2 + ((__u32)prefix[0] << 8 | prefix[1]);
	}
	return at == skb->len;
}

static __always_inline void read_whole_messages(struct __sk_buff *skb, __u64 id, __u32 at)
{
	for (int i = 0; i < STREAM_MESSAGES_MAX && at < skb->len; i++) {
		__u8 prefix[2];
		__u32 size;

		if (bpf_skb_load_bytes(skb, at, prefix, sizeof(prefix)))
			return;
		size = (__u32)prefix[0] << 8 | prefix[1];
		whole_message(skb, id, at + 2, size);
		at += 2 + size;
	}
}

/* Octets of the current message that are of no interest: behind what is kept of it. */
static __always_inline __u32 stream_skippable(const struct dns_stream *s)
{
	__u32 keep = s->length < STREAM_HEAD ? s->length : STREAM_HEAD;

	return s->have >= 2 && s->have - 2 >= keep ? s->length + 2 - s->have : 0;
}

/* `n` octets of the current message, at most stream_skippable(), pass unseen. */
static __always_inline void stream_skip(struct dns_stream *s, __u32 n)
{
	s->have += n;
	if (s->have - 2 >= s->length)
		s->have = 0;
}

/*
 * A segment of a stream from which octets are missing.  They are taken where TCP sends them again; what else comes was
 * cut in messages by its sender, or is passed over: only segments that hold nothing but whole messages are read.
 * Returns true where a message starts at the segment's first octet, from which to go on as ever.
 */
static __always_inline bool on_lost_stream(struct __sk_buff *skb, __u64 id, struct dns_stream *s, __u32 at, __u32 seq,
					   __u32 length)
{
	__u32 into = s->lost_at - seq;
	__u32 end = seq + length;
	__s32 dropped;

	if (into < length) { /* unsigned: and not behind it */
		if (!read_stream(skb, id, at + into)) {
			bpf_map_delete_elem(&dns_streams, &id);
			return false;
		}
		s->lost_at = end;
		dropped = (__s32)(s->next_seq - end);
		if (dropped <= 0) {
			s->next_seq = end;
			s->lost = 0;
		} else if ((__u32)dropped <= stream_skippable(s)) {
			stream_skip(s, dropped);
			s->lost = 0;
		}
		return false;
	}
	if ((__s32)(end - s->next_seq) <= 0)
		return false; /* seen before */
	s->next_seq = end;
	if (holds_whole_messages(skb, at)) {
		read_whole_messages(skb, id, at);
		s->boundary = end;
		s->has_boundary = 1;
	} else if (s->has_boundary && s->boundary == seq) {
		s->next_seq = seq;
		s->have = 0;
		s->lost = 0;
		return true;
	} else {
		s->has_boundary = 0;
	}
	return false;
}

/* A stream whose next octet has number `seq`, and starts a message. */
static __always_inline struct dns_stream *start_stream(__u64 id, const struct cf_dns_key *key, __u32 seq)
{
	struct dns_stream *s;

	if (bpf_map_update_elem(&dns_streams, &id, &empty_stream, BPF_ANY)) {
		count(CF_DNS_C_HELPER_FAILED);
		return NULL;
	}
	s = bpf_map_lookup_elem(&dns_streams, &id);
	if (s) {
		s->key = *key;
		s->next_seq = seq;
	}
	return s;
}

static __always_inline void on_tcp(struct __sk_buff *skb, const struct packet *p, const struct cf_dns_key *key,
				   bool to_server)
{
	__u64 id = key->cookie << 1 | !to_server;
	struct dns_stream *s;
	struct tcphdr tcp;
	__u32 at, seq, length;
	__s32 ahead;

	if (bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp))) {
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	at = p->l4 + tcp.doff * 4;
	if (at > skb->len) {
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	length = skb->len - at;
	seq = bpf_ntohl(tcp.seq);
	if (tcp.rst) {
		bpf_map_delete_elem(&dns_streams, &id);
		return;
	}
	if (tcp.syn)
		s = start_stream(id, key, ++seq);
	else
		s = length ? bpf_map_lookup_elem(&dns_streams, &id) : NULL;
	if (!length)
		return;
	if (!s) /* a connection that was there before us: take what comes as a message's start */
		s = start_stream(id, key, seq);
	if (!s)
		return;
	ahead = (__s32)(seq - s->next_seq);
	if (!s->lost && ahead > 0) {
		if ((__u32)ahead <= stream_skippable(s)) {
			stream_skip(s, ahead);
			s->next_seq = seq;
			ahead = 0;
		} else {
			count(CF_DNS_C_ERR_TCP_GAP);
			s->lost = 1;
			s->lost_at = s->next_seq;
			s->has_boundary = 0;
		}
	}
	if (s->lost) {
		if (!on_lost_stream(skb, id, s, at, seq, length))
			return;
		ahead = 0;
	}
	if (ahead < 0) {
		if ((__u32)-ahead >= length)
			return; /* sent again: seen before */
		at += (__u32)-ahead;
		length -= (__u32)-ahead;
	}
	s->next_seq += length;
	if (!read_stream(skb, id, at))
		bpf_map_delete_elem(&dns_streams, &id);
}

static __always_inline void on_udp(struct __sk_buff *skb, const struct packet *p, struct cf_dns_key *key,
				   bool to_server)
{
	struct dns_message m = {.skb = skb, .offset = p->l4 + sizeof(struct udphdr)};

	if (m.offset >= skb->len) {
		count(CF_DNS_C_PACKETS);
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	m.size = m.readable = skb->len - m.offset;
	on_message(&m, key, to_server);
}

static __always_inline int look(struct __sk_buff *skb, bool egress)
{
	__u32 ethertype = skb->protocol;
	const __be16 *ports = packet_plain_ports(skb, ethertype);
	struct cf_dns_key key = {};
	struct packet p = {};
	enum packet_result result;

	if (ports && !is_dns_port(ports[egress]))
		return CF_PASS; /* nearly all there is */
	result = packet_parse(skb, ethertype, &p);
	if (result != PACKET_OK) {
		if (result == PACKET_BAD)
			count(CF_DNS_C_ERR_IPHEADER);
		else if (result == PACKET_FRAGMENT)
			count(CF_DNS_C_ERR_FRAGMENT);
		return CF_PASS;
	}
	if (!is_dns_port(egress ? p.dest_be : p.source_be))
		return CF_PASS;
	key.cookie = bpf_get_socket_cookie(skb);
	key.transport = p.protocol == IPPROTO_UDP ? CF_TRANSPORT_UDP : CF_TRANSPORT_TCP;
	key.client_port = bpf_ntohs(egress ? p.source_be : p.dest_be);
	key.server_port = bpf_ntohs(egress ? p.dest_be : p.source_be);
	if (packet_addresses(skb, &p, egress ? key.client : key.server, egress ? key.server : key.client)) {
		count(CF_DNS_C_ERR_IPHEADER);
		return CF_PASS;
	}
	if (p.protocol == IPPROTO_UDP)
		on_udp(skb, &p, &key, egress);
	else
		on_tcp(skb, &p, &key, egress);
	return CF_PASS;
}

SEC("cgroup_skb/egress")
int dns_egress(struct __sk_buff *skb)
{
	return look(skb, true);
}

SEC("cgroup_skb/ingress")
int dns_ingress(struct __sk_buff *skb)
{
	return look(skb, false);
}

char LICENSE[] SEC("license") = "GPL";
