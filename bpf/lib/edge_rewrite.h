/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* New addresses and ports in a packet, one hop less unless the stack takes it off, checksums by difference. */
#ifndef CORTEXFLOW_LIB_EDGE_REWRITE_H
#define CORTEXFLOW_LIB_EDGE_REWRITE_H

#include "bpf/lib/edge_checksum.h"
#include "bpf/lib/edge_packet.h"

static __always_inline __u8 edge_hops_taken(const struct cf_edge_nat *to)
{
	return to->flags & CF_EDGE_STAYS ? 0 : 1;
}

static __always_inline void edge_less_ttl(struct iphdr *ip, __u8 hops, __u64 difference)
{
	__u16 *word = (__u16 *)&ip->ttl, from = *word;

	ip->ttl -= hops;
	ip->check = edge_update(ip->check, difference + edge_difference16(from, *word));
}

static __always_inline __u64 edge_port_difference(const struct edge_packet *p, const struct cf_edge_nat *to)
{
	return edge_difference16(bpf_htons(p->flow.source_port), bpf_htons(to->source_port)) +
	       edge_difference16(bpf_htons(p->flow.dest_port), bpf_htons(to->dest_port));
}

/* False where the packet has no such header, which the parser has ruled out. */
static __noinline bool edge_rewrite(struct xdp_md *ctx, const struct edge_packet *p, const struct cf_edge_nat *to)
{
	const __u32 *source = (const __u32 *)to->source, *dest = (const __u32 *)to->dest;
	__u64 difference = edge_address_difference((const __u32 *)p->flow.source, source) +
			   edge_address_difference((const __u32 *)p->flow.dest, dest);

	if (p->is_v6) {
		struct ipv6hdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));

		if (!ip)
			return false;
		__builtin_memcpy(&ip->saddr, source, 16);
		__builtin_memcpy(&ip->daddr, dest, 16);
		ip->hop_limit -= edge_hops_taken(to);
	} else {
		struct iphdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));

		if (!ip)
			return false;
		ip->saddr = source[3];
		ip->daddr = dest[3];
		edge_less_ttl(ip, edge_hops_taken(to), difference);
	}
	if (p->kind == WIRE_LATER_FRAGMENT)
		return true;
	difference += edge_port_difference(p, to);
	if (p->flow.protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = edge_at(ctx, p->l4, sizeof(*tcp));

		if (!tcp)
			return false;
		tcp->source = bpf_htons(to->source_port);
		tcp->dest = bpf_htons(to->dest_port);
		tcp->check = edge_update(tcp->check, difference);
	} else {
		struct udphdr *udp = edge_at(ctx, p->l4, sizeof(*udp));

		if (!udp)
			return false;
		udp->source = bpf_htons(to->source_port);
		udp->dest = bpf_htons(to->dest_port);
		if (udp->check) { /* 0: has none */
			udp->check = edge_update(udp->check, difference);
			if (!udp->check)
				udp->check = 0xffff;
		}
	}
	return true;
}

/* An ICMP error: it goes where the flow goes, and quotes what the receiver had sent.  Its own source is the router that
 * complains, and stays.  The quoted TCP or UDP checksum is left as it is: it may not be there, and nobody can check it
 * on a part of a packet. */
static __noinline bool edge_rewrite_error(struct xdp_md *ctx, const struct edge_packet *p, const struct cf_edge_nat *to)
{
	const __u32 *source = (const __u32 *)to->source, *dest = (const __u32 *)to->dest;
	__u64 at_dest = edge_address_difference((const __u32 *)p->flow.dest, dest);
	__u64 difference = edge_address_difference((const __u32 *)p->flow.source, source) + at_dest;
	__u64 in_icmp = edge_port_difference(p, to);
	__be16 *ports = edge_at(ctx, p->inner_l4, 4);

	if (!ports)
		return false;
	ports[0] = bpf_htons(to->dest_port);
	ports[1] = bpf_htons(to->source_port);
	if (p->is_v6) {
		struct ipv6hdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));
		struct icmp6hdr *icmp = edge_at(ctx, p->l4, sizeof(*icmp));
		struct ipv6hdr *inner = edge_at(ctx, p->inner, sizeof(*inner));

		if (!ip || !icmp || !inner)
			return false;
		__builtin_memcpy(&ip->daddr, dest, 16);
		ip->hop_limit -= edge_hops_taken(to);
		__builtin_memcpy(&inner->saddr, dest, 16);
		__builtin_memcpy(&inner->daddr, source, 16);
		icmp->icmp6_cksum = edge_update(icmp->icmp6_cksum, in_icmp + difference + at_dest);
	} else {
		struct iphdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));
		struct icmphdr *icmp = edge_at(ctx, p->l4, sizeof(*icmp));
		struct iphdr *inner = edge_at(ctx, p->inner, sizeof(*inner));

		if (!ip || !icmp || !inner)
			return false;
		ip->daddr = dest[3];
		edge_less_ttl(ip, edge_hops_taken(to), at_dest);
		inner->saddr = dest[3];
		inner->daddr = source[3];
		inner->check = edge_update(inner->check, difference); /* so that the quoted header's sum is as it was */
		icmp->checksum = edge_update(icmp->checksum, in_icmp);
	}
	return true;
}

#endif
