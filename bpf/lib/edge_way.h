/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The next hop, and sending to it.  By destination alone: routing by source address or mark is not followed. */
#ifndef CORTEXFLOW_LIB_EDGE_WAY_H
#define CORTEXFLOW_LIB_EDGE_WAY_H

#include "bpf/lib/edge_packet.h"

enum {
	EDGE_WAY_KNOWN = CF_EDGE_VERDICTS, /* else the verdict that its lack leads to */
	AF_INET_ = 2,
	AF_INET6_ = 10,
};

static __noinline __u32 edge_route(struct xdp_md *ctx, const __u8 *to, bool is_v6, struct cf_edge_hop *hop)
{
	struct bpf_fib_lookup fib = {.family = is_v6 ? AF_INET6_ : AF_INET_, .ifindex = ctx->ingress_ifindex};
	long result;

	if (is_v6)
		__builtin_memcpy(fib.ipv6_dst, to, 16);
	else
		fib.ipv4_dst = ((const __u32 *)to)[3];
	edge_count(CF_EDGE_C_ROUTED);
	result = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	switch (result) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		break;
	case BPF_FIB_LKUP_RET_NOT_FWDED:
		return CF_EDGE_V_STACK;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return CF_EDGE_V_NO_NEIGHBOUR;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return CF_EDGE_V_NOT_FORWARDING;
	default:
		return result < 0 ? CF_EDGE_V_HELPER_FAILED : CF_EDGE_V_NO_ROUTE;
	}
	hop->interface = fib.ifindex;
	hop->mtu = fib.tot_len; /* since kernel commit e1850ea9bd9e (5.12), where mtu_result shares its place */
	edge_copy_mac(hop->dest_mac, fib.dmac);
	edge_copy_mac(hop->source_mac, fib.smac);
	return EDGE_WAY_KNOWN;
}

/* EDGE_WAY_KNOWN with `hop`, or a verdict. */
static __always_inline __u32 edge_way(struct xdp_md *ctx, const __u8 *to, bool is_v6, __u32 tick,
				      struct cf_edge_hop **found)
{
	const __u32 *words = (const __u32 *)to;
	__u32 index = ((words[1] ^ words[2] ^ words[3]) * 0x9e3779b1U) / (0xffffffffU / CF_EDGE_HOPS + 1);
	struct cf_edge_hop *hop = bpf_map_lookup_elem(&edge_hops, &index);
	__u32 way;

	*found = hop;
	if (!hop)
		return CF_EDGE_V_HELPER_FAILED;
	if (hop->tick == tick && hop->interface && wire_same(hop->address, to))
		return EDGE_WAY_KNOWN;
	hop->interface = 0;
	way = edge_route(ctx, to, is_v6, hop);
	hop->tick = tick;
	__builtin_memcpy(hop->address, to, sizeof(hop->address));
	return way;
}

static __always_inline bool edge_way_is_open(__u32 way)
{
	return way == EDGE_WAY_KNOWN || way == CF_EDGE_V_STACK || way == CF_EDGE_V_NO_NEIGHBOUR;
}

/* Sends the packet, whose link addresses are still those that it came with. */
static __always_inline int edge_send(struct xdp_md *ctx, __u32 way, const struct cf_edge_hop *hop, __u32 verdict)
{
	struct ethhdr *eth = edge_at(ctx, 0, sizeof(*eth));

	if (way != EDGE_WAY_KNOWN)
		return edge_verdict(way, XDP_PASS);
	if (!eth)
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	edge_copy_mac(eth->h_dest, hop->dest_mac);
	edge_copy_mac(eth->h_source, hop->source_mac);
	edge_count(verdict);
	if (hop->interface == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(hop->interface, 0);
}

#endif
