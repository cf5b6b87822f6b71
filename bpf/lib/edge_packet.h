/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From a frame to the flow that it belongs to.  Untagged Ethernet; IPv4 with options, IPv6 with extension headers;
 * TCP, UDP, fragments of both, and ICMP errors about both, which belong to the flow that they quote. */
#ifndef CORTEXFLOW_LIB_EDGE_PACKET_H
#define CORTEXFLOW_LIB_EDGE_PACKET_H

#include "bpf/lib/edge_maps.h"
#include "bpf/lib/wire.h"

enum {
	ETH_HLEN = 14,
	EDGE_OFFSET_MAX = 1024, /* how far into the frame a header may begin */
	EDGE_EXTENSIONS_MAX = 6,
};

struct edge_packet {
	struct cf_edge_flow flow;
	__u32 l4;	/* offset in the frame, as are the next two; of ICMP where it is an error */
	__u32 inner;	/* the quoted IP header */
	__u32 inner_l4; /* its TCP or UDP header */
	__u32 length;	/* of the IP packet */
	__u32 ack;	/* TCP: acknowledgement, and sequence number */
	__u32 sequence;
	__u32 fragment; /* identification */
	__u32 tick;	/* now; set for what is ours */
	__u8 kind;	/* enum wire_kind */
	__u8 is_v6;
	__u8 tcp_flags;
	__u8 ttl;
	__u8 tos;
};

/* The packet in hand; a CPU runs one at a time.  Not on the stack, where the verifier would follow every way of reading
 * a packet through all that comes after: 20 times as much work for it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct edge_packet);
} edge_packets SEC(".maps");

/* `size` octets at `offset`, or NULL.  The check is the verifier's: older ones forget what a spilled number can be. */
static __always_inline void *edge_at(struct xdp_md *ctx, __u32 offset, __u32 size)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	barrier_var(offset);
	if (offset > EDGE_OFFSET_MAX)
		return NULL;
	data += offset;
	return data + size > end ? NULL : data;
}

static __always_inline __u32 edge_frame_length(struct xdp_md *ctx)
{
	__u64 length = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

	barrier_var(length); /* pointers are to be subtracted whole */
	return length;
}

/* struct ethhdr is packed: the compiler would copy single octets. */
static __always_inline void edge_copy_mac(void *to, const void *from)
{
	__u16 *t = to;
	const __u16 *f = from;

	t[0] = f[0];
	t[1] = f[1];
	t[2] = f[2];
}

static __always_inline void edge_fragment_key(const __u8 *source, const __u8 *dest, __u32 id, __u8 protocol,
					      struct cf_edge_fragment_key *key)
{
	__builtin_memcpy(key->source, source, sizeof(key->source));
	__builtin_memcpy(key->dest, dest, sizeof(key->dest));
	key->id = id;
	key->protocol = protocol;
	key->pad[0] = key->pad[1] = key->pad[2] = 0;
}

static __noinline void edge_remember_fragment(const struct edge_packet *p)
{
	struct cf_edge_fragment ports = {.source_port = p->flow.source_port, .dest_port = p->flow.dest_port};
	struct cf_edge_fragment_key key;

	edge_fragment_key(p->flow.source, p->flow.dest, p->fragment, p->flow.protocol, &key);
	edge_count(bpf_map_update_elem(&edge_fragments, &key, &ports, BPF_ANY) ? CF_EDGE_C_LOST : CF_EDGE_C_FRAGMENT);
}

/* The ports of a datagram's first fragment, or NULL. */
static __always_inline const struct cf_edge_fragment *edge_find_fragment(const __u8 *source, const __u8 *dest, __u32 id,
									 __u8 protocol)
{
	struct cf_edge_fragment_key key;

	edge_fragment_key(source, dest, id, protocol, &key);
	return bpf_map_lookup_elem(&edge_fragments, &key);
}

static __noinline int edge_recall_fragment(struct edge_packet *p)
{
	const struct cf_edge_fragment *ports =
		edge_find_fragment(p->flow.source, p->flow.dest, p->fragment, p->flow.protocol);

	if (!ports)
		return WIRE_UNKNOWN_FRAGMENT;
	p->flow.source_port = ports->source_port;
	p->flow.dest_port = ports->dest_port;
	return WIRE_PARSED;
}

/* Ports and TCP's words at p->l4. */
static __always_inline enum wire_parsed edge_parse_l4(struct xdp_md *ctx, struct edge_packet *p)
{
	if (p->flow.protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = edge_at(ctx, p->l4, sizeof(*tcp));

		if (!tcp)
			return WIRE_BAD;
		p->flow.source_port = bpf_ntohs(tcp->source);
		p->flow.dest_port = bpf_ntohs(tcp->dest);
		p->sequence = bpf_ntohl(tcp->seq);
		p->ack = bpf_ntohl(tcp->ack_seq);
		p->tcp_flags = ((__u8 *)tcp)[13];
	} else {
		struct udphdr *udp = edge_at(ctx, p->l4, sizeof(*udp));

		if (!udp)
			return WIRE_BAD;
		p->flow.source_port = bpf_ntohs(udp->source);
		p->flow.dest_port = bpf_ntohs(udp->dest);
	}
	return WIRE_PARSED;
}

/* The flow of the quoted packet, turned round. */
static __always_inline enum wire_parsed edge_parse_quoted_ports(struct xdp_md *ctx, struct edge_packet *p)
{
	__be16 *ports = edge_at(ctx, p->inner_l4, 8);

	if (!ports)
		return WIRE_BAD;
	p->flow.source_port = bpf_ntohs(ports[1]);
	p->flow.dest_port = bpf_ntohs(ports[0]);
	p->kind = WIRE_ICMP_ERROR;
	return WIRE_PARSED;
}

static __noinline int edge_parse_error4(struct xdp_md *ctx, struct edge_packet *p)
{
	struct icmphdr *icmp = edge_at(ctx, p->l4, sizeof(*icmp));
	struct iphdr *ip;

	if (!icmp)
		return WIRE_BAD;
	if (icmp->type != 3 && icmp->type != 11 && icmp->type != 12) /* unreachable, time exceeded, parameter problem */
		return WIRE_OTHER;
	p->inner = p->l4 + sizeof(*icmp);
	ip = edge_at(ctx, p->inner, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return WIRE_BAD;
	if ((ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) || (ip->frag_off & bpf_htons(0x1fff)))
		return WIRE_OTHER;
	if (ip->saddr != ((__u32 *)p->flow.dest)[3])
		return WIRE_OTHER; /* not sent to whom it concerns */
	p->inner_l4 = p->inner + ip->ihl * 4;
	p->flow.protocol = ip->protocol;
	wire_set_v4(p->flow.source, ip->daddr);
	wire_set_v4(p->flow.dest, ip->saddr);
	return edge_parse_quoted_ports(ctx, p);
}

static __noinline int edge_parse_error6(struct xdp_md *ctx, struct edge_packet *p)
{
	struct icmp6hdr *icmp = edge_at(ctx, p->l4, sizeof(*icmp));
	__u8 address[16] __attribute__((aligned(4)));
	struct ipv6hdr *ip;

	if (!icmp)
		return WIRE_BAD;
	if (icmp->icmp6_type < 1 || icmp->icmp6_type > 4)
		return WIRE_OTHER;
	p->inner = p->l4 + sizeof(*icmp);
	ip = edge_at(ctx, p->inner, sizeof(*ip));
	if (!ip || ip->version != 6)
		return WIRE_BAD;
	if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP)
		return WIRE_OTHER;
	wire_set_v6(address, &ip->saddr);
	if (!wire_same(address, p->flow.dest))
		return WIRE_OTHER; /* not sent to whom it concerns */
	p->inner_l4 = p->inner + sizeof(*ip);
	p->flow.protocol = ip->nexthdr;
	wire_set_v6(p->flow.source, &ip->daddr);
	return edge_parse_quoted_ports(ctx, p);
}

static __always_inline enum wire_parsed edge_parse4(struct xdp_md *ctx, struct edge_packet *p)
{
	struct iphdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));
	__u16 fragment;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return WIRE_BAD;
	p->flow.protocol = ip->protocol;
	p->l4 = ETH_HLEN + ip->ihl * 4;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_ICMP)
		return WIRE_OTHER;
	p->length = bpf_ntohs(ip->tot_len);
	if (p->length > edge_frame_length(ctx) - ETH_HLEN || p->length < p->l4 - ETH_HLEN + 8)
		return WIRE_BAD;
	p->ttl = ip->ttl;
	p->tos = ip->tos;
	wire_set_v4(p->flow.source, ip->saddr);
	wire_set_v4(p->flow.dest, ip->daddr);
	fragment = bpf_ntohs(ip->frag_off) & 0x3fff;
	if (ip->protocol == IPPROTO_ICMP)
		return fragment ? WIRE_OTHER : edge_parse_error4(ctx, p);
	if (fragment) {
		p->fragment = ip->id;
		p->kind = fragment & 0x1fff ? WIRE_LATER_FRAGMENT : WIRE_FIRST_FRAGMENT;
		if (p->kind == WIRE_LATER_FRAGMENT)
			return edge_recall_fragment(p);
	}
	return edge_parse_l4(ctx, p);
}

/* Past extension headers (RFC 8200 4); `next` is the type of the first.  WIRE_PARSED with p->l4 behind them. */
static __noinline int edge_skip_extensions(struct xdp_md *ctx, struct edge_packet *p, __u8 next)
{
	__u32 offset = ETH_HLEN + sizeof(struct ipv6hdr);

	for (int i = 0; i < EDGE_EXTENSIONS_MAX; i++) {
		__u8 *header;

		if (next == IPPROTO_TCP || next == IPPROTO_UDP || next == IPPROTO_ICMP6) {
			p->flow.protocol = next;
			p->l4 = offset;
			return WIRE_PARSED;
		}
		if (next != 0 /* hop-by-hop */ && next != 43 /* routing */ && next != 60 /* destination */ &&
		    next != 44 /* fragment */)
			return WIRE_OTHER;
		header = edge_at(ctx, offset, 8);
		if (!header)
			return WIRE_BAD;
		if (next == 44) {
			__u16 fragment = header[2] << 8 | header[3];

			p->fragment = *(__u32 *)(header + 4);
			if (fragment & ~7) {
				p->kind = WIRE_LATER_FRAGMENT;
				p->flow.protocol = header[0];
				return WIRE_PARSED;
			}
			if (fragment & 1)
				p->kind = WIRE_FIRST_FRAGMENT;
			offset += 8;
		} else {
			offset += (header[1] + 1) * 8;
		}
		next = header[0];
	}
	return WIRE_OTHER;
}

static __always_inline enum wire_parsed edge_parse6(struct xdp_md *ctx, struct edge_packet *p)
{
	struct ipv6hdr *ip = edge_at(ctx, ETH_HLEN, sizeof(*ip));
	enum wire_parsed parsed;

	if (!ip || ip->version != 6)
		return WIRE_BAD;
	p->is_v6 = 1;
	p->length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (p->length > edge_frame_length(ctx) - ETH_HLEN)
		return WIRE_BAD;
	p->ttl = ip->hop_limit;
	p->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	p->flow.protocol = ip->nexthdr;
	p->l4 = ETH_HLEN + sizeof(*ip);
	wire_set_v6(p->flow.source, &ip->saddr);
	wire_set_v6(p->flow.dest, &ip->daddr);
	if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP && ip->nexthdr != IPPROTO_ICMP6) {
		parsed = edge_skip_extensions(ctx, p, ip->nexthdr);
		if (parsed != WIRE_PARSED)
			return parsed;
	}
	if (p->kind == WIRE_LATER_FRAGMENT)
		return edge_recall_fragment(p);
	if (p->flow.protocol == IPPROTO_ICMP6)
		return edge_parse_error6(ctx, p);
	return edge_parse_l4(ctx, p);
}

/* `p` must be zeros. */
static __always_inline enum wire_parsed edge_parse(struct xdp_md *ctx, struct edge_packet *p)
{
	__be16 *link = edge_at(ctx, 0, ETH_HLEN);

	if (!link)
		return WIRE_BAD;
	if (link[6] == bpf_htons(ETH_P_IP))
		return edge_parse4(ctx, p);
	if (link[6] == bpf_htons(ETH_P_IPV6))
		return edge_parse6(ctx, p);
	return WIRE_OTHER;
}

#endif
