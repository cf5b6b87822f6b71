/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* New addresses and ports in a packet.  Checksums are changed by difference, through the helpers that know whether a
 * checksum is whole, still to be completed by a device (CHECKSUM_PARTIAL: only the pseudo header is in it), or summed
 * up by one (CHECKSUM_COMPLETE).  The hop limit is routing's. */
#ifndef CORTEXFLOW_LIB_FRAME_REWRITE_H
#define CORTEXFLOW_LIB_FRAME_REWRITE_H

#include "bpf/lib/frame.h"

enum {
	IP4_CHECK = L3_OFFSET + 10,
	IP4_SOURCE = L3_OFFSET + 12,
	IP6_SOURCE = L3_OFFSET + 8,
	TCP_CHECK = 16,
	UDP_CHECK = 6,
	ICMP_CHECK = 2,
};

/* What a packet gets.  struct cf_redirect_entry and struct cf_edge_nat begin like this. */
struct frame_ends {
	__u8 source[16];
	__u8 dest[16];
	__u16 source_port;
	__u16 dest_port;
};

static __always_inline __s64 frame_address_difference(const struct frame *p, const struct frame_ends *to)
{
	__s64 difference = bpf_csum_diff((__be32 *)p->flow.source, 16, (__be32 *)to->source, 16, 0);

	return bpf_csum_diff((__be32 *)p->flow.dest, 16, (__be32 *)to->dest, 16, (__u32)difference);
}

static __always_inline void frame_ports(__be16 *ports, __u16 source, __u16 dest)
{
	ports[0] = bpf_htons(source);
	ports[1] = bpf_htons(dest);
}

/* Stores the addresses behind one another, and IPv4's header checksum.  RECOMPUTE in IPv6: there is no header checksum
 * that makes up for the change, and the helper for the TCP or UDP one counts on it (kernel commit ead7f9b8de65). */
static __always_inline bool frame_store_addresses(struct __sk_buff *skb, const struct frame *p,
						  const struct frame_ends *to, __s64 difference)
{
	__be32 v4[2] = {((__be32 *)to->source)[3], ((__be32 *)to->dest)[3]};

	if (p->is_v6)
		return !bpf_skb_store_bytes(skb, IP6_SOURCE, to->source, 32, BPF_F_RECOMPUTE_CSUM);
	return !bpf_l3_csum_replace(skb, IP4_CHECK, 0, difference, 0) &&
	       !bpf_skb_store_bytes(skb, IP4_SOURCE, v4, sizeof(v4), 0);
}

/* Whether there is a checksum of TCP's or UDP's to keep true.  The sum of a pseudo header, which stands there where a
 * device is to complete it, is never 0. */
static __always_inline bool frame_has_check(struct __sk_buff *skb, const struct frame *p, __u32 check)
{
	__u16 now = 0;

	return p->flow.protocol == IPPROTO_TCP || (!bpf_skb_load_bytes(skb, check, &now, sizeof(now)) && now);
}

/* False: the packet can't be used any more. */
static __noinline bool frame_rewrite(struct __sk_buff *skb, const struct frame *p, const struct frame_ends *to)
{
	__u32 check = p->l4 + (p->flow.protocol == IPPROTO_TCP ? TCP_CHECK : UDP_CHECK);
	__u64 mangled = p->flow.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__s64 addresses = frame_address_difference(p, to);
	__be16 from_ports[2], to_ports[2];
	bool checked;
	__s64 ports;

	if (p->kind != WIRE_LATER_FRAGMENT) {
		frame_ports(from_ports, p->flow.source_port, p->flow.dest_port);
		frame_ports(to_ports, to->source_port, to->dest_port);
		ports = bpf_csum_diff((__be32 *)from_ports, 4, (__be32 *)to_ports, 4, 0);
		checked = frame_has_check(skb, p, check);
		if (checked && (bpf_l4_csum_replace(skb, check, 0, addresses, BPF_F_PSEUDO_HDR | mangled) ||
				bpf_l4_csum_replace(skb, check, 0, ports, mangled)))
			return false;
		/* RECOMPUTE: no checksum of the packet's own makes up for the change. */
		if (bpf_skb_store_bytes(skb, p->l4, to_ports, sizeof(to_ports), checked ? 0 : BPF_F_RECOMPUTE_CSUM))
			return false;
	}
	return frame_store_addresses(skb, p, to, addresses);
}

/* An ICMP error goes where the flow goes, and quotes what the receiver had sent.  Where the flow's own end sent it, it
 * comes from the address that the receiver knows; a router's stays.  The quoted TCP or UDP checksum is left as it is:
 * nobody can check it on a part of a packet. */
static __noinline bool frame_rewrite_error(struct __sk_buff *skb, const struct frame *p, const struct frame_ends *to)
{
	struct frame_ends inner;
	__be16 from_ports[2], to_ports[2];
	__u32 outer_at = p->is_v6 ? IP6_SOURCE : IP4_SOURCE, inner_at = p->inner + (p->is_v6 ? 8 : 12);
	__u32 size = p->is_v6 ? 16 : 4, skip = p->is_v6 ? 0 : 12;
	__s64 quoted = frame_address_difference(p, to), outer, in_icmp;

	frame_ports(from_ports, p->flow.dest_port, p->flow.source_port);
	frame_ports(to_ports, to->dest_port, to->source_port);
	outer = bpf_csum_diff((__be32 *)p->flow.dest, 16, (__be32 *)to->dest, 16, 0);
	if (p->from_end)
		outer = bpf_csum_diff((__be32 *)p->flow.source, 16, (__be32 *)to->source, 16, (__u32)outer);
	in_icmp = bpf_csum_diff((__be32 *)from_ports, 4, (__be32 *)to_ports, 4, 0);
	if (p->is_v6) { /* its pseudo header, and the quoted one, which has no checksum of its own */
		in_icmp = bpf_csum_diff((__be32 *)p->flow.dest, 16, (__be32 *)to->dest, 16, (__u32)in_icmp);
		in_icmp = bpf_csum_diff((__be32 *)p->flow.source, 16, (__be32 *)to->source, 16, (__u32)in_icmp);
	}
	__builtin_memcpy(inner.source, to->dest, sizeof(inner.source));
	__builtin_memcpy(inner.dest, to->source, sizeof(inner.dest));
	if (p->is_v6) {
		if (bpf_l4_csum_replace(skb, p->l4 + ICMP_CHECK, 0, in_icmp, 0) ||
		    bpf_l4_csum_replace(skb, p->l4 + ICMP_CHECK, 0, outer, 0) ||
		    bpf_skb_store_bytes(skb, inner_at, inner.source, 32, 0))
			return false;
	} else {
		__be32 v4[2] = {((__be32 *)inner.source)[3], ((__be32 *)inner.dest)[3]};

		if (bpf_l4_csum_replace(skb, p->l4 + ICMP_CHECK, 0, in_icmp, 0) ||
		    bpf_l3_csum_replace(skb, IP4_CHECK, 0, outer, 0) ||
		    bpf_l3_csum_replace(skb, p->inner + 10, 0, quoted,
					0) || /* so that what is quoted sums up as before */
		    bpf_skb_store_bytes(skb, inner_at, v4, sizeof(v4), 0))
			return false;
	}
	if (bpf_skb_store_bytes(skb, p->inner_l4, to_ports, sizeof(to_ports), 0))
		return false;
	if (p->from_end && bpf_skb_store_bytes(skb, outer_at, to->source + skip, size, 0))
		return false;
	return !bpf_skb_store_bytes(skb, outer_at + size, to->dest + skip, size, 0);
}

#endif
