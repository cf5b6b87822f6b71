/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Back to the workload that the packet came from: what is refused, and a caller that is its own backend. */
#ifndef CORTEXFLOW_LIB_REDIRECT_ANSWER_H
#define CORTEXFLOW_LIB_REDIRECT_ANSWER_H

#include "bpf/lib/frame_rewrite.h"

enum {
	SENT_BACK = 0xcf1b, /* tc_index of what has its verdict already, for the egress hook that it passes */
};

/* Out of the interface that it came in by, past the host's routing, which would take its source for a martian's. */
static __always_inline int redirect_send_back(struct __sk_buff *skb)
{
	__u8 from[12], to[12];

	if (bpf_skb_load_bytes(skb, 0, from, sizeof(from)))
		return ACT_DROP;
	__builtin_memcpy(to, from + 6, 6);
	__builtin_memcpy(to + 6, from, 6);
	if (bpf_skb_store_bytes(skb, 0, to, sizeof(to), 0))
		return ACT_DROP;
	skb->tc_index = SENT_BACK;
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline __u16 redirect_fold(__u64 sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

/* Whether a device is to complete that checksum: the helper then leaves it alone where no pseudo header changes. */
static __noinline bool redirect_is_partial(struct __sk_buff *skb, __u32 at)
{
	__u16 before = 0, after = 0;

	if (bpf_skb_load_bytes(skb, at, &before, sizeof(before)) ||
	    bpf_l4_csum_replace(skb, at, 0, bpf_htons(1), sizeof(after)) ||
	    bpf_skb_load_bytes(skb, at, &after, sizeof(after)))
		return false;
	if (after == before)
		return true;
	bpf_skb_store_bytes(skb, at, &before, sizeof(before), 0);
	return false;
}

/* A reset in the place of this TCP packet, as RFC 9293 3.5.2 has it, so that its sender knows at once.  One that is
 * shorter than what it answers may lose the sum that a device made of the frame (CHECKSUM_COMPLETE, which veth and tap
 * don't have): its receiver then adds up by itself. */
static __noinline int redirect_reset(struct __sk_buff *skb, const struct frame *p)
{
	struct tcphdr tcp, reset = {};
	__u16 length = p->l4 + sizeof(reset) - L3_OFFSET, old_length = 0;
	__be16 payload_length;
	__u8 swapped[32];
	bool partial;
	__u64 sum;

	if (p->kind != WIRE_WHOLE || (p->tcp_flags & TCP_RST) || bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
		return ACT_DROP;
	partial = redirect_is_partial(skb, p->l4 + TCP_CHECK);
	reset.source = tcp.dest;
	reset.dest = tcp.source;
	reset.doff = 5;
	reset.rst = 1;
	if (tcp.ack) {
		reset.seq = tcp.ack_seq;
	} else {
		reset.ack = 1;
		reset.ack_seq = bpf_htonl(bpf_ntohl(tcp.seq) + (p->end - p->l4 - tcp.doff * 4) + tcp.syn + tcp.fin);
	}
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)p->flow.source, 16, bpf_htonl(IPPROTO_TCP));
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)p->flow.dest, 16, (__u32)sum);
	sum += bpf_htonl(sizeof(reset));
	if (!partial)
		sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&reset, sizeof(reset), 0);
	reset.check = partial ? redirect_fold(sum) : (__u16)~redirect_fold(sum);
	if (bpf_skb_change_tail(skb, p->l4 + sizeof(reset), 0) ||
	    bpf_skb_store_bytes(skb, p->l4, &reset, sizeof(reset), BPF_F_RECOMPUTE_CSUM))
		return ACT_DROP;
	if (p->is_v6) {
		payload_length = bpf_htons(length - sizeof(struct ipv6hdr));
		__builtin_memcpy(swapped, p->flow.dest, 16);
		__builtin_memcpy(swapped + 16, p->flow.source, 16);
		if (bpf_skb_store_bytes(skb, L3_OFFSET + 4, &payload_length, 2, BPF_F_RECOMPUTE_CSUM) ||
		    bpf_skb_store_bytes(skb, IP6_SOURCE, swapped, 32, 0))
			return ACT_DROP;
	} else {
		payload_length = bpf_htons(length);
		__builtin_memcpy(swapped, p->flow.dest + 12, 4);
		__builtin_memcpy(swapped + 4, p->flow.source + 12, 4);
		if (bpf_skb_load_bytes(skb, L3_OFFSET + 2, &old_length, 2) ||
		    bpf_l3_csum_replace(skb, IP4_CHECK, old_length, payload_length, 2) ||
		    bpf_skb_store_bytes(skb, L3_OFFSET + 2, &payload_length, 2, 0) ||
		    bpf_skb_store_bytes(skb, IP4_SOURCE, swapped, 8, 0))
			return ACT_DROP;
	}
	return redirect_send_back(skb);
}

#endif
