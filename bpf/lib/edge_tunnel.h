/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Direct return: the packet goes to the backend as it is, in another; the backend has the frontend's address on an
 * interface that doesn't answer ARP, and answers the client itself. */
#ifndef CORTEXFLOW_LIB_EDGE_TUNNEL_H
#define CORTEXFLOW_LIB_EDGE_TUNNEL_H

#include "bpf/lib/edge_answer.h"
#include "bpf/lib/edge_choice.h"
#include "bpf/lib/edge_rewrite.h"
#include "bpf/lib/edge_way.h"

enum { IPPROTO_IPIP_ = 4, IPPROTO_IPV6_ = 41, IP_DF_ = 0x4000 };

static __always_inline void edge_fill_udp(struct udphdr *udp, const struct edge_packet *p,
					  const struct cf_edge_settings *settings)
{
	/* A source port by flow, so that receivers spread them over their queues (RFC 6935: no checksum). */
	udp->source = bpf_htons(0xc000 | (edge_hash(p, 0, false) & 0x3fff));
	udp->dest = bpf_htons(settings->gue_port);
	udp->len = bpf_htons(p->length + sizeof(*udp));
	udp->check = 0;
}

static __always_inline bool edge_wrap4(struct xdp_md *ctx, const struct edge_packet *p,
				       const struct cf_edge_settings *settings, const struct cf_edge_backend *backend,
				       bool gue, __u32 overhead)
{
	struct iphdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip) + sizeof(struct udphdr));

	if (!ip)
		return false;
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = p->tos;
	ip->tot_len = bpf_htons(p->length + overhead);
	ip->id = 0; /* never fragmented (RFC 6864 4.1) */
	ip->frag_off = bpf_htons(IP_DF_);
	ip->ttl = 64;
	ip->protocol = gue ? IPPROTO_UDP : IPPROTO_IPIP_;
	ip->check = 0;
	ip->saddr = ((const __u32 *)settings->address4)[3];
	ip->daddr = ((const __u32 *)backend->address)[3];
	ip->check = edge_header_sum(ip);
	if (gue)
		edge_fill_udp((void *)(ip + 1), p, settings);
	return true;
}

static __always_inline bool edge_wrap6(struct xdp_md *ctx, const struct edge_packet *p,
				       const struct cf_edge_settings *settings, const struct cf_edge_backend *backend,
				       bool gue, __u32 overhead)
{
	struct ipv6hdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip) + sizeof(struct udphdr));

	if (!ip)
		return false;
	*(__be32 *)ip = bpf_htonl(6U << 28 | (__u32)p->tos << 20);
	ip->payload_len = bpf_htons(p->length + overhead - sizeof(*ip));
	ip->nexthdr = gue ? IPPROTO_UDP : IPPROTO_IPV6_;
	ip->hop_limit = 64;
	__builtin_memcpy(&ip->saddr, settings->address6, 16);
	__builtin_memcpy(&ip->daddr, backend->address, 16);
	if (gue)
		edge_fill_udp((void *)(ip + 1), p, settings);
	return true;
}

/* RFC 2003 3.1, RFC 2473 3.1: the packet inside has a hop less too, or two edges could send it to and fro for ever. */
static __always_inline bool edge_one_hop_less(struct xdp_md *ctx, bool is_v6)
{
	if (is_v6) {
		struct ipv6hdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));

		if (!ip)
			return false;
		ip->hop_limit--;
	} else {
		struct iphdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));

		if (!ip)
			return false;
		edge_less_ttl(ip, 1, 0);
	}
	return true;
}

static __always_inline int edge_tunnel(struct xdp_md *ctx, const struct edge_packet *p,
				       const struct cf_edge_settings *settings, const struct cf_edge_backend *backend,
				       bool gue)
{
	const __u32 overhead =
		(p->is_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + (gue ? sizeof(struct udphdr) : 0);
	const __u32 *own = (const __u32 *)(p->is_v6 ? settings->address6 : settings->address4);
	struct cf_edge_hop *hop;
	__u32 way, mtu;
	__u32 link[4], *at;

	if (!own[3] && !own[0])
		return edge_verdict(CF_EDGE_V_NO_ADDRESS, XDP_DROP);
	if (p->ttl <= 1)
		return edge_answer(ctx, p, CF_EDGE_V_TTL_EXCEEDED, 0);
	way = edge_way(ctx, backend->address, p->is_v6, p->tick, &hop);
	if (!edge_way_is_open(way) || !hop)
		return edge_verdict(way, XDP_DROP);
	mtu = hop->mtu ?: settings->mtu;
	if (way == EDGE_WAY_KNOWN && p->length + overhead > mtu)
		return edge_answer(ctx, p, CF_EDGE_V_TOO_BIG, mtu - overhead);
	at = edge_at(ctx, 0, sizeof(link));
	if (!at || !edge_one_hop_less(ctx, p->is_v6))
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	link[0] = at[0], link[1] = at[1], link[2] = at[2], link[3] = at[3];
	if (bpf_xdp_adjust_head(ctx, -(int)overhead))
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	at = edge_at(ctx, 0, sizeof(link));
	if (!at)
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	/* With the two octets behind the link header, which are written next. */
	at[0] = link[0], at[1] = link[1], at[2] = link[2], at[3] = link[3];
	if (p->is_v6 ? !edge_wrap6(ctx, p, settings, backend, gue, overhead)
		     : !edge_wrap4(ctx, p, settings, backend, gue, overhead))
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	return edge_send(ctx, way, hop, p->kind == WIRE_ICMP_ERROR ? CF_EDGE_V_ERROR_FOLLOWED : CF_EDGE_V_TUNNELLED);
}

#endif
