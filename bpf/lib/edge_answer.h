/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* ICMP errors of the edge's own: a packet too big for its way on, or at the end of its hops.  Sent from the frontend's
 * address, back to where the packet came from. */
#ifndef CORTEXFLOW_LIB_EDGE_ANSWER_H
#define CORTEXFLOW_LIB_EDGE_ANSWER_H

#include "bpf/lib/edge_checksum.h"
#include "bpf/lib/edge_packet.h"

/* How much of the packet is quoted: its headers (RFC 792 wants 8 octets behind IP's) in multiples of 4. */
enum { EDGE_QUOTE4 = 40, EDGE_QUOTE6 = 60 };

static __always_inline __u16 edge_header_sum(const void *header)
{
	const __u16 *words = header;
	__u64 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += words[i];
	return ~edge_fold(sum);
}

static __always_inline bool edge_answer4(struct xdp_md *ctx, const struct edge_packet *p, bool too_big, __u16 mtu)
{
	struct iphdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip) + sizeof(struct icmphdr) + EDGE_QUOTE4);
	struct icmphdr *icmp = (void *)(ip + 1);

	if (!ip)
		return false;
	__builtin_memset(ip, 0, sizeof(*ip) + sizeof(*icmp));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + EDGE_QUOTE4);
	ip->ttl = 64;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = ((const __u32 *)p->flow.dest)[3];
	ip->daddr = ((const __u32 *)p->flow.source)[3];
	ip->check = edge_header_sum(ip);
	icmp->type = too_big ? 3 : 11; /* destination unreachable (fragmentation needed), time exceeded */
	icmp->code = too_big ? 4 : 0;
	icmp->un.frag.mtu = bpf_htons(mtu);
	icmp->checksum = ~edge_fold((__u32)bpf_csum_diff(NULL, 0, (void *)icmp, sizeof(*icmp) + EDGE_QUOTE4, 0));
	return true;
}

static __always_inline bool edge_answer6(struct xdp_md *ctx, const struct edge_packet *p, bool too_big, __u16 mtu)
{
	struct ipv6hdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip) + sizeof(struct icmp6hdr) + EDGE_QUOTE6);
	struct icmp6hdr *icmp = (void *)(ip + 1);
	const __u32 length = sizeof(*icmp) + EDGE_QUOTE6;
	__u64 sum;

	if (!ip)
		return false;
	__builtin_memset(ip, 0, sizeof(*ip) + sizeof(*icmp));
	ip->version = 6;
	ip->payload_len = bpf_htons(length);
	ip->nexthdr = IPPROTO_ICMP6;
	ip->hop_limit = 64;
	__builtin_memcpy(&ip->saddr, p->flow.dest, 16);
	__builtin_memcpy(&ip->daddr, p->flow.source, 16);
	icmp->icmp6_type = too_big ? 2 : 3;
	icmp->icmp6_dataun.un_data32[0] = bpf_htonl(mtu);
	sum = (__u32)bpf_csum_diff(NULL, 0, (void *)&ip->saddr, 32, 0);
	sum += (__u32)bpf_csum_diff(NULL, 0, (void *)icmp, length, 0);
	icmp->icmp6_cksum = ~edge_fold(sum + bpf_htonl(length) + bpf_htonl(IPPROTO_ICMP6));
	return true;
}

/* `verdict`: CF_EDGE_V_TOO_BIG or CF_EDGE_V_TTL_EXCEEDED.  The mtu of the latter is 0. */
static __noinline int edge_answer(struct xdp_md *ctx, const struct edge_packet *p, __u32 verdict, __u16 mtu)
{
	const __u32 quote = p->is_v6 ? EDGE_QUOTE6 : EDGE_QUOTE4;
	const __u32 headers = p->is_v6 ? sizeof(struct ipv6hdr) + sizeof(struct icmp6hdr)
				       : sizeof(struct iphdr) + sizeof(struct icmphdr);
	const __u32 frame = edge_frame_length(ctx);
	struct ethhdr *eth = edge_at(ctx, 0, sizeof(*eth));
	__u16 from[3], to[3];

	/* No errors about errors or later fragments (RFC 1122 3.2.2), nor about headers that the quote would cut. */
	if (!eth || p->kind == WIRE_ICMP_ERROR || p->kind == WIRE_LATER_FRAGMENT || p->length < quote ||
	    p->l4 - ETH_HLEN + 8 > quote)
		return edge_verdict(CF_EDGE_V_UNANSWERABLE, XDP_DROP);
	edge_copy_mac(from, eth->h_source);
	edge_copy_mac(to, eth->h_dest);
	if (bpf_xdp_adjust_tail(ctx, (int)(ETH_HLEN + quote) - (int)frame) || bpf_xdp_adjust_head(ctx, -(int)headers))
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	eth = edge_at(ctx, 0, sizeof(*eth));
	if (!eth)
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	edge_copy_mac(eth->h_dest, from);
	edge_copy_mac(eth->h_source, to);
	eth->h_proto = p->is_v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (p->is_v6 ? !edge_answer6(ctx, p, verdict == CF_EDGE_V_TOO_BIG, mtu)
		     : !edge_answer4(ctx, p, verdict == CF_EDGE_V_TOO_BIG, mtu))
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	return edge_verdict(verdict, XDP_TX);
}

#endif
