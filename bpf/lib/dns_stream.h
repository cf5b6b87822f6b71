/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* DNS over TCP (RFC 1035 4.2.2, RFC 7766): a socket's segments are cut into messages, however they lie in them. */
#ifndef CORTEXFLOW_LIB_DNS_STREAM_H
#define CORTEXFLOW_LIB_DNS_STREAM_H

#include "bpf/lib/dns_match.h"
#include "bpf/lib/packet.h"

enum { TCP_OFFSET_AT = 12 }; /* RFC 9293 3.1 */

/* What a new entry starts as. */
static const struct dns_stream empty_stream;

/*
 * Takes the next piece of a stream from the segment's octets from `at` on: the rest of a length field, of a head or of
 * what is skipped.  Returns where the next piece starts, 0 to stop.  A global function, so that it is verified once.
 */
__noinline int stream_step(struct __sk_buff *skb, __u64 id, __u64 socket, __u32 at)
{
	struct dns_stream *s = bpf_map_lookup_elem(&dns_streams, &id);
	__u32 left, n, keep;

	if (!s || at >= skb->len || at > 0xfffff)
		return 0;
	left = skb->len - at;
	if (s->have < 2) {
		n = s->have == 0 && left > 1 ? 2 : 1;
		if (n == 2 ? bpf_skb_load_bytes(skb, at, s->prefix, 2)
			   : bpf_skb_load_bytes(skb, at, &s->prefix[s->have & 1], 1))
			return 0;
		s->have += n;
		s->length = (__u32)s->prefix[0] << 8 | s->prefix[1];
		if (s->have == 2 && s->length < sizeof(struct dns_header)) {
			count(CF_DNS_C_ERR_SHORT);
			s->have = 0;
			if (s->length) /* not DNS: don't guess where the next message is */
				return 0;
		}
		return at + n;
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
			message_seen(skb, id, socket, 0, 0);
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

/* Reads messages from octet `at` of the segment on; returns the octet it came to, 0 for what is not DNS.  As above. */
__noinline int stream_read(struct __sk_buff *skb, __u64 id, __u64 socket, __u32 at)
{
	for (int i = 0; i < STREAM_PIECES_MAX; i++) {
		at = stream_step(skb, id, socket, at);
		if (!at || at >= skb->len)
			break;
	}
	return at;
}

/*
 * Reads a segment from octet `at` to its end, s->next_seq.  False where that was not reached: no DNS, and the stream is
 * forgotten; or too much, and it has lost octets that don't come again.
 */
static __always_inline bool read_stream(struct __sk_buff *skb, __u64 id, __u64 socket, struct dns_stream *s, __u32 at)
{
	__u32 to = stream_read(skb, id, socket, at);

	if (to >= skb->len)
		return true;
	if (!to) {
		count(CF_DNS_C_ERR_TCP_GAP);
		bpf_map_delete_elem(&dns_streams, &id);
		return false;
	}
	count(CF_DNS_C_ERR_MANY);
	s->lost = 1;
	s->lost_at = s->next_seq - STREAM_NEVER;
	s->has_boundary = 0;
	s->have = 0;
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

static __always_inline void read_whole_messages(struct __sk_buff *skb, __u64 id, __u64 socket, __u32 at)
{
	for (int i = 0; i < STREAM_MESSAGES_MAX && at < skb->len; i++) {
		__u8 prefix[2];
		__u32 size;

		if (bpf_skb_load_bytes(skb, at, prefix, sizeof(prefix)))
			return;
		size = (__u32)prefix[0] << 8 | prefix[1];
		message_seen(skb, id, socket, at + 2, size);
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
static __always_inline bool on_lost_stream(struct __sk_buff *skb, __u64 id, __u64 socket, struct dns_stream *s,
					   __u32 at, __u32 seq, __u32 length)
{
	__u32 into = s->lost_at - seq;
	__u32 end = seq + length;
	__s32 dropped = (__s32)(s->next_seq - end);

	if (into < length) { /* unsigned: and not behind it */
		if (dropped < 0)
			s->next_seq = end;
		if (!read_stream(skb, id, socket, s, at + into))
			return false;
		s->lost_at = end;
		if (dropped <= 0) {
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
		read_whole_messages(skb, id, socket, at);
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
static __always_inline struct dns_stream *start_stream(__u64 id, __u32 seq)
{
	struct dns_stream *s;

	if (bpf_map_update_elem(&dns_streams, &id, &empty_stream, BPF_ANY)) {
		count(CF_DNS_C_HELPER_FAILED);
		return NULL;
	}
	s = bpf_map_lookup_elem(&dns_streams, &id);
	if (s)
		s->next_seq = seq;
	return s;
}

static __always_inline void on_tcp(struct __sk_buff *skb, const struct packet *p, __u64 id, __u64 socket)
{
	struct dns_stream *s;
	__u32 at, seq, length;
	__u8 head[2]; /* data offset, flags */
	__s32 ahead;

	/* No struct tcphdr: kernel 6.1 has room for no more than 160 octets in this frame. */
	if (bpf_skb_load_bytes(skb, p->l4 + offsetof(struct tcphdr, seq), &seq, sizeof(seq)) ||
	    bpf_skb_load_bytes(skb, p->l4 + TCP_OFFSET_AT, head, sizeof(head))) {
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	at = p->l4 + (head[0] >> 4) * 4;
	if (at > skb->len) {
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	length = skb->len - at;
	seq = bpf_ntohl(seq);
	if (head[1] & TCP_RST) {
		bpf_map_delete_elem(&dns_streams, &id);
		return;
	}
	if (head[1] & TCP_SYN)
		s = start_stream(id, ++seq);
	else
		s = length ? bpf_map_lookup_elem(&dns_streams, &id) : NULL;
	if (!length)
		return;
	if (!s) /* a connection that was there before us: take what comes as a message's start */
		s = start_stream(id, seq);
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
		if (!on_lost_stream(skb, id, socket, s, at, seq, length))
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
	read_stream(skb, id, socket, s, at);
}

#endif
