/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From a cgroup_skb packet (it starts at the IP header) to ports and payload, IPv4 and IPv6 with extension headers. */
#ifndef CORTEXFLOW_LIB_PACKET_H
#define CORTEXFLOW_LIB_PACKET_H

#include "bpf/lib/bpf.h"
#include "bpf/lib/wire.h"

enum packet_result {
	PACKET_OK = 0,
	PACKET_OTHER,	 /* neither UDP nor TCP over IP */
	PACKET_BAD,	 /* headers can't be followed */
	PACKET_FRAGMENT, /* a later fragment: has no ports */
};

struct packet {
	__u32 l4; /* offset of the UDP or TCP header */
	__u16 source_be;
	__u16 dest_be;
	__u8 protocol; /* IPPROTO_UDP or IPPROTO_TCP */
	__u8 is_v6;
};

enum { PACKET_EXTENSIONS_MAX = 8 };

static __always_inline enum packet_result packet_l4_v6(struct __sk_buff *skb, struct packet *p)
{
	__u32 off = sizeof(struct ipv6hdr);
	__u8 next;

	if (bpf_skb_load_bytes(skb, offsetof(struct ipv6hdr, nexthdr), &next, 1))
		return PACKET_BAD;
	for (int i = 0; i < PACKET_EXTENSIONS_MAX; i++) {
		__u8 ext[4];

		if (next == IPPROTO_UDP || next == IPPROTO_TCP) {
			p->protocol = next;
			p->l4 = off;
			return PACKET_OK;
		}
		if (next != 0 /* hop-by-hop */ && next != 43 /* routing */ && next != 60 /* destination */ &&
		    next != 44 /* fragment */ && next != 51 /* authentication */)
			return PACKET_OTHER;
		if (bpf_skb_load_bytes(skb, off, ext, sizeof(ext)))
			return PACKET_BAD;
		if (next == 44) { /* RFC 8200 4.5: 8 octets, offset in the upper 13 bits */
			if (ext[2] || (ext[3] & 0xf8))
				return PACKET_FRAGMENT;
			off += 8;
		} else if (next == 51) { /* RFC 4302 2.2: 32-bit words less 2 */
			off += ((__u32)ext[1] + 2) * 4;
		} else {
			off += ((__u32)ext[1] + 1) * 8;
		}
		next = ext[0];
	}
	return PACKET_BAD;
}

/* `ethertype` is skb->protocol: read once, or clang makes an address of it that the verifier refuses. */
static __always_inline enum packet_result packet_parse(struct __sk_buff *skb, __u32 ethertype, struct packet *p)
{
	__be16 ports[2];

	if (ethertype == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return PACKET_BAD;
		if (ip.protocol != IPPROTO_UDP && ip.protocol != IPPROTO_TCP)
			return PACKET_OTHER;
		if (ip.version != 4 || ip.ihl < 5)
			return PACKET_BAD;
		if (ip.frag_off & bpf_htons(0x1fff))
			return PACKET_FRAGMENT;
		p->protocol = ip.protocol;
		p->l4 = ip.ihl * 4;
		p->is_v6 = 0;
	} else if (ethertype == bpf_htons(ETH_P_IPV6)) {
		enum packet_result result = packet_l4_v6(skb, p);

		if (result != PACKET_OK)
			return result;
		p->is_v6 = 1;
	} else {
		return PACKET_OTHER;
	}
	if (bpf_skb_load_bytes(skb, p->l4, ports, sizeof(ports)))
		return PACKET_BAD;
	p->source_be = ports[0];
	p->dest_be = ports[1];
	return PACKET_OK;
}

/*
 * The ports of the plainest packets, read where they lie: IPv4 without options and no later fragment, IPv6 without
 * extension headers.  NULL for all others, which packet_parse() reads.
 */
static __always_inline const __be16 *packet_plain_ports(struct __sk_buff *skb, __u32 ethertype)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip6 = data;
	struct iphdr *ip4 = data;
	__be16 *ports;
	__u8 protocol;

	if (ethertype == bpf_htons(ETH_P_IP)) {
		ports = (__be16 *)(ip4 + 1);
		if ((void *)(ports + 2) > end || *(__u8 *)data != 0x45 || ip4->frag_off & bpf_htons(0x1fff))
			return NULL;
		protocol = ip4->protocol;
	} else if (ethertype == bpf_htons(ETH_P_IPV6)) {
		ports = (__be16 *)(ip6 + 1);
		if ((void *)(ports + 2) > end)
			return NULL;
		protocol = ip6->nexthdr;
	} else {
		return NULL;
	}
	return protocol == IPPROTO_UDP || protocol == IPPROTO_TCP ? ports : NULL;
}

/* Source and destination as 16 octets, IPv4 mapped. */
static __always_inline int packet_addresses(struct __sk_buff *skb, bool is_v6, __u8 *source, __u8 *dest)
{
	if (is_v6)
		return bpf_skb_load_bytes(skb, offsetof(struct ipv6hdr, saddr), source, 16) ||
		       bpf_skb_load_bytes(skb, offsetof(struct ipv6hdr, daddr), dest, 16);
	__builtin_memset(source, 0, 10);
	__builtin_memset(dest, 0, 10);
	source[10] = source[11] = dest[10] = dest[11] = 0xff;
	return bpf_skb_load_bytes(skb, offsetof(struct iphdr, saddr), source + 12, 4) ||
	       bpf_skb_load_bytes(skb, offsetof(struct iphdr, daddr), dest + 12, 4);
}

#endif
