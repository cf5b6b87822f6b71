/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Who it is: of a socket of this machine by its network namespace, cgroup or address, of its peer by the address. */
#ifndef CORTEXFLOW_LIB_POLICY_IDENTITY_H
#define CORTEXFLOW_LIB_POLICY_IDENTITY_H

#include "bpf/lib/policy_maps.h"

enum { POLICY_SOCK_HEAD = 128 };

/* A packet as the socket's side sees it, whichever way it goes. */
struct policy_packet {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
};

/*
 * The value, of which the verifier knows nothing any more.  What comes from many branches is one state for all that
 * follows, where it would else follow each of them to the end: before Linux 6.4 a million instructions don't suffice.
 */
static __always_inline __u64 policy_settled(const struct cf_policy_settings *settings, __u64 value)
{
	return value + settings->zero;
}

static __always_inline bool policy_is_loopback(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	if (words[0] || words[1])
		return false;
	return words[2] == bpf_htonl(0xffff) ? address[12] == 127 : !words[2] && words[3] == bpf_htonl(1);
}

/* To connect there is to connect to oneself. */
static __always_inline bool policy_is_unspecified(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	return !words[0] && !words[1] && (!words[2] || words[2] == bpf_htonl(0xffff)) && !words[3];
}

static __always_inline bool policy_same_address(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1];
}

/* The verifier lets nobody add to a socket's address: so its head is copied as a whole, and the namespace's address
 * taken from the copy. */
static __always_inline struct net *policy_net(void *sk)
{
	__u32 at = bpf_core_field_offset(struct sock, __sk_common.skc_net.net);
	__u64 head[POLICY_SOCK_HEAD / 8] = {};

	if (at > POLICY_SOCK_HEAD - sizeof(struct net *) || bpf_probe_read_kernel(head, sizeof(head), sk))
		return NULL;
	return (struct net *)head[at / 8];
}

/* What bpf_get_netns_cookie() says, which cgroup_skb programs may ask from 6.15 on only. */
static __always_inline __u64 policy_netns(void *sk)
{
	struct net *net = policy_net(sk);

	return net && bpf_core_field_exists(net->net_cookie) ? BPF_CORE_READ(net, net_cookie) : 0;
}

static __always_inline __u64 policy_local_by(__u32 kind, __u64 id)
{
	struct cf_policy_local key = {.id = id, .kind = kind};
	__u64 *identity = bpf_map_lookup_elem(&policy_locals, &key);

	return identity ? *identity : 0;
}

/* The workload's cgroup, or one above: a container's is below its pod's. */
static __always_inline __u64 policy_by_cgroup(struct __sk_buff *skb)
{
	__u64 identity = policy_local_by(CF_POLICY_LOCAL_CGROUP, bpf_skb_cgroup_id(skb));

	for (int level = CF_POLICY_CGROUP_LEVELS; !identity && level > 0; level--) {
		__u64 above = bpf_skb_ancestor_cgroup_id(skb, level);

		if (above)
			identity = policy_local_by(CF_POLICY_LOCAL_CGROUP, above);
	}
	return identity;
}

static __always_inline __u64 policy_by_address(const __u8 *address)
{
	struct cf_policy_address key;
	__u64 *identity;

	__builtin_memcpy(key.address, address, sizeof(key.address));
	identity = bpf_map_lookup_elem(&policy_addresses, &key);
	return identity ? *identity : 0;
}

/* An address that is nobody's own. */
static __always_inline __u64 policy_by_range(const __u8 *address, __u32 flags)
{
	struct cf_policy_range range = {.prefix_length = 128};
	bool full = flags & CF_POLICY_FULL;

	if (!(flags & CF_POLICY_HAS_RANGES))
		return full ? CF_POLICY_ID_CLOSED : CF_POLICY_ID_WORLD;
	__builtin_memcpy(range.address, address, sizeof(range.address));
	if (!bpf_map_lookup_elem(&policy_ranges, &range))
		return CF_POLICY_ID_WORLD;
	return full ? CF_POLICY_ID_CLOSED : CF_POLICY_ID_UNKNOWN;
}

/* Whose socket it is that sends from there; 0: of no workload. */
static __always_inline __u64 policy_local_by_address(const __u8 *address, __u32 flags)
{
	__u64 identity = policy_by_address(address);

	if (!identity && flags & CF_POLICY_FULL && policy_by_range(address, flags) == CF_POLICY_ID_CLOSED)
		identity = CF_POLICY_ID_CLOSED;
	return identity;
}

/* Whose socket; 0: of no workload.  `*shared` isn't 0: others have its network namespace, and so its loopback, too. */
static __always_inline __u64 policy_local(struct __sk_buff *skb, void *sk, const struct policy_packet *p,
					  const struct cf_policy_settings *settings, __u64 *shared)
{
	__u32 flags = settings->flags;
	__u64 identity = 0;

	*shared = settings->zero;
	if (flags & CF_POLICY_HAS_NETNS)
		identity = policy_local_by(CF_POLICY_LOCAL_NETNS, policy_netns(sk));
	if (!identity && flags & CF_POLICY_HAS_CGROUPS) {
		identity = policy_settled(settings, policy_by_cgroup(skb));
		*shared = identity;
	}
	if (!identity)
		identity = policy_local_by_address(p->local, flags);
	return policy_settled(settings, identity);
}

/* Learned where it sends, for connect(). */
static __always_inline void policy_note_home(void *sk, const struct policy_packet *p)
{
	bool v4 = !((const __u64 *)p->local)[0] && ((const __u32 *)p->local)[2] == bpf_htonl(0xffff);
	__u64 netns = policy_netns(sk);
	struct policy_home *home, fresh = {};

	if (!netns || policy_is_loopback(p->local))
		return;
	home = bpf_map_lookup_elem(&policy_homes, &netns);
	if (home) {
		if (!policy_same_address(home->address[v4 ? 0 : 1], p->local))
			__builtin_memcpy(home->address[v4 ? 0 : 1], p->local, sizeof(p->local));
		return;
	}
	__builtin_memcpy(fresh.address[v4 ? 0 : 1], p->local, sizeof(p->local));
	if (bpf_map_update_elem(&policy_homes, &netns, &fresh, BPF_ANY))
		policy_count(CF_POLICY_C_HELPER_FAILED);
}

static __always_inline bool policy_is_own(const struct policy_packet *p)
{
	return policy_is_loopback(p->remote) || policy_same_address(p->remote, p->local);
}

static __always_inline void policy_caller_key(struct policy_caller_key *key, void *sk, const __u8 *address, __u16 port,
					      __u8 protocol)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->address, address, sizeof(key->address));
	key->port = port;
	key->protocol = protocol;
	if (policy_is_loopback(address))
		key->netns = policy_netns(sk);
}

/* On its way out, before anybody can receive it: whoever had the port before has it no more. */
static __always_inline void policy_note_caller(struct __sk_buff *skb, void *sk, const struct policy_packet *p)
{
	__u64 identity = policy_by_cgroup(skb);
	struct policy_caller_key key;

	policy_caller_key(&key, sk, p->local, p->local_port, p->protocol);
	if (!identity)
		bpf_map_delete_elem(&policy_callers, &key);
	else if (bpf_map_update_elem(&policy_callers, &key, &identity, BPF_ANY))
		policy_count(CF_POLICY_C_HELPER_FAILED);
}

/* Who has the address. */
static __always_inline __u64 policy_called(const struct policy_packet *p, __u32 flags)
{
	__u64 identity = policy_by_address(p->remote);

	if (identity)
		return identity;
	return policy_is_own(p) ? CF_POLICY_ID_HOST : policy_by_range(p->remote, flags);
}

/* Whom the socket talks to.  By where a local workload sends from callers alone are told: who listens there may be
 * another. */
static __always_inline __u64 policy_remote(void *sk, const struct policy_packet *p, __u32 flags, bool out)
{
	if (!out && flags & CF_POLICY_HAS_CGROUPS) {
		struct policy_caller_key key;
		__u64 *caller;

		policy_caller_key(&key, sk, p->remote, p->remote_port, p->protocol);
		caller = bpf_map_lookup_elem(&policy_callers, &key);
		if (caller)
			return *caller;
	}
	return policy_called(p, flags);
}

#endif
