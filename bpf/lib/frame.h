/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From an Ethernet frame at a TC hook to the flow that it belongs to: IPv4 with options, IPv6 with extension headers,
 * fragments, and ICMP errors, which belong to the flow that they quote. */
#ifndef CORTEXFLOW_LIB_FRAME_H
#define CORTEXFLOW_LIB_FRAME_H

#include "bpf/abi/redirect.h"
#include "bpf/lib/bpf.h"
#include "bpf/lib/wire.h"

enum {
	L3_OFFSET = 14, /* behind the Ethernet header */
	FRAME_EXTENSIONS_MAX = 6,
	ACT_PASS = -1, /* TC_ACT_UNSPEC, TCX_NEXT: whoever else hangs there decides */
	ACT_DROP = 2,  /* TC_ACT_SHOT */
};

struct frame {
	struct cf_redirect_flow flow;
	__u32 l4;	/* offset in the frame, as are the next two; of ICMP where it is an error */
	__u32 inner;	/* the quoted IP header */
	__u32 inner_l4; /* its TCP or UDP header */
	__u32 end;	/* of the IP packet */
	__u32 part;	/* identification of a fragmented datagram */
	__u32 tick;
	__u8 kind; /* enum wire_kind */
	__u8 is_v6;
	__u8 tcp_flags;
	__u8 from_end; /* an ICMP error that the flow's own end sent, no router */
};

/* The ports of a later part, from its first: whoever includes this keeps them.  WIRE_PARSED or WIRE_UNKNOWN_FRAGMENT.
 */
static int frame_recall_part(struct frame *p);

/* Ports and TCP's flags at p->l4, which a header has to fit in behind, within the IP packet. */
static __always_inline enum wire_parsed frame_parse_l4(struct __sk_buff *skb, struct frame *p)
{
	__u8 header[14] __attribute__((aligned(4)));
	__u16 *ports = (__u16 *)header;

	if (p->flow.protocol == IPPROTO_TCP) {
		if (p->l4 + sizeof(struct tcphdr) > p->end || bpf_skb_load_bytes(skb, p->l4, header, sizeof(header)))
			return WIRE_BAD;
		p->tcp_flags = header[13];
	} else if (p->l4 + sizeof(struct udphdr) > p->end || bpf_skb_load_bytes(skb, p->l4, header, 4)) {
		return WIRE_BAD;
	}
	p->flow.source_port = bpf_ntohs(ports[0]);
	p->flow.dest_port = bpf_ntohs(ports[1]);
	return WIRE_PARSED;
}

static __always_inline enum wire_parsed frame_parse_quoted_ports(struct __sk_buff *skb, struct frame *p)
{
	__be16 ports[4];

	if (p->inner_l4 + sizeof(ports) > p->end || bpf_skb_load_bytes(skb, p->inner_l4, ports, sizeof(ports)))
		return WIRE_BAD;
	p->flow.source_port = bpf_ntohs(ports[1]);
	p->flow.dest_port = bpf_ntohs(ports[0]);
	p->kind = WIRE_ICMP_ERROR;
	return WIRE_PARSED;
}

static __noinline int frame_parse_error4(struct __sk_buff *skb, struct frame *p)
{
	__be32 sender = ((__u32 *)p->flow.source)[3];
	struct iphdr ip;
	__u8 type;

	if (p->l4 + 8 > p->end || bpf_skb_load_bytes(skb, p->l4, &type, 1))
		return WIRE_BAD;
	if (type != 3 && type != 11 && type != 12) /* unreachable, time exceeded, parameter problem */
		return WIRE_OTHER;
	p->inner = p->l4 + 8;
	if (p->inner + sizeof(ip) > p->end || bpf_skb_load_bytes(skb, p->inner, &ip, sizeof(ip)) || ip.version != 4 ||
	    ip.ihl < 5)
		return WIRE_BAD;
	if ((ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP) || (ip.frag_off & bpf_htons(0x1fff)))
		return WIRE_OTHER;
	if (ip.saddr != ((__u32 *)p->flow.dest)[3])
		return WIRE_OTHER; /* not sent to whom it concerns */
	p->inner_l4 = p->inner + ip.ihl * 4;
	p->flow.protocol = ip.protocol;
	p->from_end = ip.daddr == sender;
	wire_set_v4(p->flow.source, ip.daddr);
	return frame_parse_quoted_ports(skb, p);
}

static __noinline int frame_parse_error6(struct __sk_buff *skb, struct frame *p)
{
	struct ipv6hdr ip;
	__u8 type;

	if (p->l4 + 8 > p->end || bpf_skb_load_bytes(skb, p->l4, &type, 1))
		return WIRE_BAD;
	if (type < 1 || type > 4) /* unreachable, too big, time exceeded, parameter problem */
		return WIRE_OTHER;
	p->inner = p->l4 + 8;
	if (p->inner + sizeof(ip) > p->end || bpf_skb_load_bytes(skb, p->inner, &ip, sizeof(ip)) || ip.version != 6)
		return WIRE_BAD;
	if (ip.nexthdr != IPPROTO_TCP && ip.nexthdr != IPPROTO_UDP)
		return WIRE_OTHER;
	if (!wire_same((__u8 *)&ip.saddr, p->flow.dest))
		return WIRE_OTHER; /* not sent to whom it concerns */
	p->inner_l4 = p->inner + sizeof(ip);
	p->flow.protocol = ip.nexthdr;
	p->from_end = wire_same((__u8 *)&ip.daddr, p->flow.source);
	wire_set_v6(p->flow.source, &ip.daddr);
	return frame_parse_quoted_ports(skb, p);
}

/* `length` of the IP packet as its header has it; 0 stands for more than the field can hold (BIG TCP). */
static __always_inline bool frame_set_end(struct __sk_buff *skb, struct frame *p, __u32 length)
{
	p->end = length ? L3_OFFSET + length : skb->len;
	return p->end <= skb->len && (length || skb->len > 65535);
}

static __always_inline enum wire_parsed frame_parse4(struct __sk_buff *skb, struct frame *p)
{
	struct iphdr ip;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, L3_OFFSET, &ip, sizeof(ip)))
		return WIRE_BAD;
	if (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP && ip.protocol != IPPROTO_ICMP)
		return WIRE_OTHER;
	if (ip.version != 4 || ip.ihl < 5 || !frame_set_end(skb, p, bpf_ntohs(ip.tot_len)))
		return WIRE_BAD;
	p->flow.protocol = ip.protocol;
	p->l4 = L3_OFFSET + ip.ihl * 4;
	wire_set_v4(p->flow.source, ip.saddr);
	wire_set_v4(p->flow.dest, ip.daddr);
	fragment = bpf_ntohs(ip.frag_off) & 0x3fff;
	if (ip.protocol == IPPROTO_ICMP)
		return fragment ? WIRE_OTHER : frame_parse_error4(skb, p);
	if (fragment) {
		p->part = ip.id;
		p->kind = fragment & 0x1fff ? WIRE_LATER_FRAGMENT : WIRE_FIRST_FRAGMENT;
		if (p->kind == WIRE_LATER_FRAGMENT)
			return frame_recall_part(p);
	}
	return frame_parse_l4(skb, p);
}

/* Past extension headers (RFC 8200 4); `next` is the type of the first.  WIRE_PARSED with p->l4 behind them. */
static __noinline int frame_skip_extensions(struct __sk_buff *skb, struct frame *p, __u8 next)
{
	__u32 offset = L3_OFFSET + sizeof(struct ipv6hdr);

	for (int i = 0; i < FRAME_EXTENSIONS_MAX; i++) {
		__u8 header[8];

		if (next == IPPROTO_TCP || next == IPPROTO_UDP || next == IPPROTO_ICMP6) {
			p->flow.protocol = next;
			p->l4 = offset;
			return WIRE_PARSED;
		}
		if (next != 0 /* hop-by-hop */ && next != 43 /* routing */ && next != 60 /* destination */ &&
		    next != 44 /* fragment */)
			return WIRE_OTHER;
		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
			return WIRE_BAD;
		if (next == 44) {
			__u16 fragment = header[2] << 8 | header[3];

			__builtin_memcpy(&p->part, header + 4, sizeof(p->part));
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

static __always_inline enum wire_parsed frame_parse6(struct __sk_buff *skb, struct frame *p)
{
	struct ipv6hdr ip;
	__u32 length;

	if (bpf_skb_load_bytes(skb, L3_OFFSET, &ip, sizeof(ip)))
		return WIRE_BAD;
	length = bpf_ntohs(ip.payload_len);
	if (ip.version != 6 || !frame_set_end(skb, p, length ? length + sizeof(ip) : 0))
		return WIRE_BAD;
	p->is_v6 = 1;
	p->flow.protocol = ip.nexthdr;
	p->l4 = L3_OFFSET + sizeof(ip);
	wire_set_v6(p->flow.source, &ip.saddr);
	wire_set_v6(p->flow.dest, &ip.daddr);
	if (ip.nexthdr != IPPROTO_TCP && ip.nexthdr != IPPROTO_UDP && ip.nexthdr != IPPROTO_ICMP6) {
		int parsed = frame_skip_extensions(skb, p, ip.nexthdr);

		if (parsed != WIRE_PARSED)
			return parsed;
	}
	if (p->kind == WIRE_LATER_FRAGMENT)
		return frame_recall_part(p);
	if (p->flow.protocol == IPPROTO_ICMP6)
		return p->kind == WIRE_WHOLE ? frame_parse_error6(skb, p) : WIRE_OTHER;
	return frame_parse_l4(skb, p);
}

/* `p` must be zeros. */
static __always_inline enum wire_parsed frame_parse(struct __sk_buff *skb, struct frame *p, __u8 direction)
{
	__u32 ethertype = skb->protocol; /* read once, or clang makes an address of it that the verifier refuses */

	p->flow.ifindex = skb->ifindex;
	p->flow.direction = direction;
	if (ethertype == bpf_htons(ETH_P_IP))
		return frame_parse4(skb, p);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return frame_parse6(skb, p);
	return WIRE_OTHER;
}

#endif
