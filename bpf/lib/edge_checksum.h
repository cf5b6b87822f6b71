/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Internet checksums by difference (RFC 1624, equation 3). */
#ifndef CORTEXFLOW_LIB_EDGE_CHECKSUM_H
#define CORTEXFLOW_LIB_EDGE_CHECKSUM_H

#include "bpf/lib/bpf.h"

static __always_inline __u16 edge_fold(__u64 sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

/* A sum of differences: of words and of half words that stand at even offsets, all in network order. */
static __always_inline __u64 edge_difference(__u32 from, __u32 to)
{
	return (__u64)(__u32)~from + to;
}

static __always_inline __u64 edge_difference16(__u16 from, __u16 to)
{
	return (__u64)(__u16)~from + to;
}

static __always_inline __u64 edge_address_difference(const __u32 *from, const __u32 *to)
{
	return edge_difference(from[0], to[0]) + edge_difference(from[1], to[1]) + edge_difference(from[2], to[2]) +
	       edge_difference(from[3], to[3]);
}

static __always_inline __u16 edge_update(__u16 check, __u64 difference)
{
	return ~edge_fold((__u16)~check + difference);
}

#endif
