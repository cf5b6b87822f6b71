/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Reading a DNS message where it lies: in a packet, or in a TCP stream's collected head. */
#ifndef CORTEXFLOW_LIB_DNS_MESSAGE_H
#define CORTEXFLOW_LIB_DNS_MESSAGE_H

#include "bpf/abi/dns.h"
#include "bpf/lib/bpf.h"
#include "bpf/lib/dns_maps.h"

/* RFC 1035 4.1.1 */
struct dns_header {
	__be16 id;
	__be16 flags;
	__be16 questions;
	__be16 answers;
	__be16 authority;
	__be16 additional;
};

/* Where a message is.  `head` for TCP, else the packet from `offset`; `size` octets, of which `readable` can be read.
 */
struct dns_message {
	struct __sk_buff *skb;
	struct dns_stream *stream; /* NULL: in the packet */
	__u64 stream_id;	   /* its key */
	__u32 offset;
	__u32 size;
	__u32 readable;
};

/* In words, wherever they lie: clang copies what may lie unaligned by the octet. */
static __always_inline void copy_unaligned(void *to, const void *from, const __u32 n)
{
	__u32 at = 0;

	for (; at + 4 <= n; at += 4)
		*(__u32 *)(to + at) = *(const volatile __u32 *)(from + at);
	for (; at < n; at++)
		*(__u8 *)(to + at) = *(const volatile __u8 *)(from + at);
}

static __always_inline int message_read(const struct dns_message *m, __u32 at, void *to, const __u32 n)
{
	if (at + n > m->readable)
		return -1;
	if (m->stream) {
		/* The place is not known to the verifier but for this mask, which clang would drop. */
		asm volatile("" : "+r"(at));
		copy_unaligned(to, m->stream->head + (at & (STREAM_HEAD - 1)), n);
		return 0;
	}
	return bpf_skb_load_bytes(m->skb, m->offset + at, to, n);
}

/* What is behind the header, at most CF_DNS_NAME_ROOM octets: how many were copied to `name`, 0 for none. */
static __always_inline __u32 message_read_name(const struct dns_message *m, __u8 *name)
{
	__u32 n;

	if (m->readable <= sizeof(struct dns_header))
		return 0;
	n = m->readable - sizeof(struct dns_header);
	if (n > CF_DNS_NAME_ROOM)
		n = CF_DNS_NAME_ROOM;
	if (m->stream) {
		__builtin_memcpy(name, m->stream->head + sizeof(struct dns_header), CF_DNS_NAME_ROOM);
		return n;
	}
	/* From 1 to CF_DNS_NAME_ROOM for the verifier, which before 6.3 doesn't follow "not zero". */
	asm volatile("" : "+r"(n));
	n = ((n - 1) & (CF_DNS_NAME_ROOM - 1)) + 1;
	if (bpf_skb_load_bytes(m->skb, m->offset + sizeof(struct dns_header), name, n))
		return 0;
	return n;
}

/* Length of the uncompressed name at the start of `name`, its root included, or 0 if it isn't one within `n` octets. */
static __always_inline __u32 name_length(const __u8 *name, __u32 n)
{
	__u32 at = 0;

	for (int i = 0; i < 128; i++) { /* 127 labels fit in 255 octets */
		__u32 label;

		if (at >= n || at >= CF_DNS_NAME_MAX)
			return 0;
		label = name[at & 0xff];
		at++;
		if (!label)
			return at;
		if (label > 63)
			return 0;
		at += label;
	}
	return 0;
}

enum { OPT_ABSENT = -1, OPT_STEPS_MAX = 128 };

/*
 * Looks for the OPT record (RFC 6891 6.1.2) among the `records` from octet `at` of the message on: in the packet from
 * `offset`, or in stream `id`'s head where that is not 0; `readable` octets of it.  Returns the upper 24 bits of its
 * class (payload size) and TTL (extended rcode first), or OPT_ABSENT.  Labels and records together are followed for
 * OPT_STEPS_MAX steps; an OPT behind these is not seen.  A global function, so that it is verified once.
 */
__noinline int message_find_opt(struct __sk_buff *skb, __u64 id, __u64 offset_at, __u32 readable, __u32 records)
{
	struct dns_stream *stream = id ? bpf_map_lookup_elem(&dns_streams, &id) : NULL;
	struct dns_message m = {.skb = skb, .stream = stream, .offset = offset_at >> 32, .readable = readable};
	__u32 at = (__u32)offset_at;
	__u32 start = at;

	if (id && !stream)
		return OPT_ABSENT;
	for (int i = 0; i < OPT_STEPS_MAX && records; i++) {
		__u8 rest[10] __attribute__((aligned(4))); /* type, class, TTL, length of the data */
		__u8 label;

		if (at > 0xffff || message_read(&m, at, &label, 1))
			return OPT_ABSENT;
		if (label && label < 64) {
			at += 1 + label;
			continue;
		}
		if (label && label < 192)
			return OPT_ABSENT;
		at += label ? 2 : 1; /* a pointer ends a name (RFC 1035 4.1.4) */
		if (message_read(&m, at, rest, sizeof(rest)))
			return OPT_ABSENT;
		if (at == start + 1 && !rest[0] && rest[1] == 41)
			return rest[2] << 16 | rest[3] << 8 | rest[4];
		at += sizeof(rest) + ((__u32)rest[8] << 8 | rest[9]);
		start = at;
		records--;
	}
	return OPT_ABSENT;
}

/* The message's OPT record, `at` being the octet behind its question. */
static __always_inline int message_opt(const struct dns_message *m, const struct dns_header *h, __u32 at)
{
	if (!h->additional)
		return OPT_ABSENT;
	return message_find_opt(m->skb, m->stream ? m->stream_id : 0, (__u64)m->offset << 32 | at, m->readable,
				(__u32)bpf_ntohs(h->answers) + bpf_ntohs(h->authority) + bpf_ntohs(h->additional));
}

/* Reads the question into `q` (name, name_len, qtype, qclass, EDNS).  Returns 0, or the counter of what is wrong. */
static __always_inline __u32 message_read_question(const struct dns_message *m, const struct dns_header *h,
						   struct cf_dns_query *q)
{
	__u8 type_class[4] __attribute__((aligned(4)));
	int opt;
	__u32 n = message_read_name(m, q->name);
	__u32 length = name_length(q->name, n);

	if (!length)
		return n < CF_DNS_NAME_MAX && m->readable < m->size ? CF_DNS_C_ERR_SHORT : CF_DNS_C_ERR_NAME;
	if (message_read(m, sizeof(*h) + length, type_class, sizeof(type_class)))
		return CF_DNS_C_ERR_SHORT;
	q->name_len = length;
	q->qtype = (__u16)type_class[0] << 8 | type_class[1];
	q->qclass = (__u16)type_class[2] << 8 | type_class[3];
	opt = message_opt(m, h, sizeof(*h) + length + 4);
	q->edns_size = opt == OPT_ABSENT ? 0 : opt >> 8;
	return 0;
}

/* Is the message's question the one in `q`, to the octet? */
static __always_inline bool message_asks(const struct dns_message *m, const struct cf_dns_query *q)
{
	__u8 type_class[4] __attribute__((aligned(4)));
	__u32 length = q->name_len, difference = 0;

	if (message_read(m, sizeof(struct dns_header) + length, type_class, 4) ||
	    q->qtype != ((__u16)type_class[0] << 8 | type_class[1]) ||
	    q->qclass != ((__u16)type_class[2] << 8 | type_class[3]))
		return false;
	/* In words, and one way through: type and class, which are the same, stand behind both names. */
	for (__u32 at = 0; at < CF_DNS_NAME_ROOM && at < length; at += 4) {
		__u32 word;

		if (message_read(m, sizeof(struct dns_header) + at, &word, sizeof(word)))
			return false;
		difference |= word ^ *(const __u32 *)(q->name + at);
	}
	return !difference;
}

#endif
