/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Whom the edge keeps out, before anything is allocated for him. */
#ifndef CORTEXFLOW_LIB_EDGE_DENY_H
#define CORTEXFLOW_LIB_EDGE_DENY_H

#include "bpf/lib/edge_maps.h"

static __always_inline bool edge_not_yet(__u64 until_ns)
{
	return until_ns && (until_ns == ~0ULL || bpf_ktime_get_ns() < until_ns);
}

static __always_inline bool edge_denied_by(const struct cf_edge_deny_key *key, __u32 direction)
{
	struct cf_edge_deny *rule = bpf_map_lookup_elem(&edge_deny, key);

	if (!rule)
		return false;
	if (edge_not_yet(rule->drop_until_ns[direction]))
		return true;
	if (edge_not_yet(rule->audit_until_ns[direction]))
		edge_count(CF_EDGE_C_AUDITED);
	return false;
}

/* `address` is the client's, `port` the frontend's. */
static __noinline bool edge_denied(__u32 flags, const __u8 *address, __u16 port, __u32 direction)
{
	struct cf_edge_deny_key key;

	key.prefix_length = 16 + 128;
	key.port[0] = key.port[1] = 0;
	key.pad[0] = key.pad[1] = 0;
	direction &= 1;
	__builtin_memcpy(key.address, address, sizeof(key.address));
	if ((flags & CF_EDGE_DENY_ANY) && edge_denied_by(&key, direction))
		return true;
	if (!(flags & CF_EDGE_DENY_PORT))
		return false;
	key.port[0] = port >> 8;
	key.port[1] = port & 0xff;
	return edge_denied_by(&key, direction);
}

/* Whether the client is in one of the service's ranges. */
static __noinline bool edge_admitted(__u32 service, const __u8 *client)
{
	struct cf_edge_range key = {.prefix_length = 32 + 128, .service = service};

	__builtin_memcpy(key.address, client, sizeof(key.address));
	return bpf_map_lookup_elem(&edge_ranges, &key);
}

#endif
