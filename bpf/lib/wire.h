/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What those have in common who read whole packets: numbers of protocols' headers that are macros in the kernel, how a
 * packet belongs to its flow, addresses. */
#ifndef CORTEXFLOW_LIB_WIRE_H
#define CORTEXFLOW_LIB_WIRE_H

#include "bpf/lib/bpf.h"

enum {
	IPPROTO_ICMP6 = 58,
	/* RFC 9293 3.1 */
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
};

enum wire_kind {
	WIRE_WHOLE = 0,
	WIRE_FIRST_FRAGMENT,
	WIRE_LATER_FRAGMENT, /* has no ports of its own */
	WIRE_ICMP_ERROR,     /* the flow is the quoted packet's, turned round: that of the packets that met the error */
};

enum wire_parsed {
	WIRE_PARSED = 0,
	WIRE_OTHER,
	WIRE_BAD,
	WIRE_UNKNOWN_FRAGMENT,
};

/* Addresses are 16 octets, aligned to 4, in network order; IPv4 as ::ffff:a.b.c.d. */
static __always_inline void wire_set_v4(__u8 *address, __be32 v4)
{
	__u32 *words = (__u32 *)address;

	words[0] = words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = v4;
}

static __always_inline void wire_set_v6(__u8 *address, const void *v6)
{
	const __u32 *from = v6;
	__u32 *words = (__u32 *)address;

	words[0] = from[0];
	words[1] = from[1];
	words[2] = from[2];
	words[3] = from[3];
}

static __always_inline bool wire_same(const __u8 *a, const __u8 *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[3] == y[3] && x[2] == y[2] && x[1] == y[1] && x[0] == y[0];
}

#endif
