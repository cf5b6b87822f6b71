/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Who opened a connection that nothing is known of. */
#ifndef CORTEXFLOW_LIB_POLICY_ROLE_H
#define CORTEXFLOW_LIB_POLICY_ROLE_H

#include "bpf/lib/policy_identity.h"

enum {
	POLICY_TCP_LISTEN = 10,
	POLICY_EPHEMERAL_PORT = 32768, /* where net.ipv4.ip_local_port_range begins, unless it is set */
};

/* Does somebody in the network namespace listen on that address and port?  On all addresses counts, whether or not that
 * one is there. */
static __always_inline bool policy_listens(void *ctx, const __u8 *address, __u16 port)
{
	bool v6 = ((const __u64 *)address)[0] || ((const __u32 *)address)[2] != bpf_htonl(0xffff);
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *listener;
	bool found;

	if (v6) {
		__builtin_memcpy(tuple.ipv6.daddr, address, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.dport = bpf_htons(port);
		listener = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(&tuple.ipv4.daddr, address + 12, sizeof(tuple.ipv4.daddr));
		tuple.ipv4.dport = bpf_htons(port);
		listener = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!listener)
		return false;
	found = listener->state == POLICY_TCP_LISTEN;
	bpf_sk_release(listener);
	return found;
}

/* A connection from before there was this program.  Where its listener has gone the ports tell; where they don't, it
 * counts as one that others opened, which is what policy refuses first. */
static __always_inline bool policy_accepted(struct __sk_buff *skb, const struct policy_packet *p)
{
	if (p->local_port < POLICY_EPHEMERAL_PORT || p->remote_port >= POLICY_EPHEMERAL_PORT)
		return true;
	return policy_listens(skb, p->local, p->local_port);
}

#endif
