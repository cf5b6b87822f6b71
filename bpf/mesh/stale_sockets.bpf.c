// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Which UDP sockets are still connected to a backend that mesh/service gave them and that is in no table any more, in
 * every network namespace.  Runs when the agent reads it, over the sockets' storage; costs connects and packets
 * nothing. Whether such a backend has left its service, or gets no new callers for now, the agent knows.
 */
#include "bpf/lib/service_maps.h"

static __always_inline bool is_v4_mapped(const struct cf_svc_address *a)
{
	const __u32 *words = (const __u32 *)a->address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline bool stands(const struct cf_svc_stale_socket *found, __u32 number)
{
	struct cf_backend *backend = bpf_map_lookup_elem(&svc_backends, &number);

	return backend && backend->service == found->service;
}

/* The socket's own end; false where its other end is not the backend: it has been connected elsewhere since, or ended.
 */
static __always_inline bool goes_to_backend(struct sock *sk, struct cf_svc_stale_socket *found)
{
	const __u32 *to = (const __u32 *)found->backend.address;
	__u32 *from = (__u32 *)found->local.address;

	if (bpf_ntohs(sk->__sk_common.skc_dport) != found->backend.port)
		return false;
	if (is_v4_mapped(&found->backend)) {
		from[2] = bpf_htonl(0xffff);
		from[3] = sk->__sk_common.skc_rcv_saddr;
		return sk->__sk_common.skc_daddr == to[3];
	}
	for (int i = 0; i < 4; i++) {
		from[i] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i];
		if (sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i] != to[i])
			return false;
	}
	return true;
}

SEC("iter/bpf_sk_storage_map")
int svc_stale(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct cf_svc_stale_socket found = {};
	struct cf_svc_socket *socket = ctx->value;
	struct sock *sk = ctx->sk;

	if (!sk || !socket || socket->backend_address.protocol != IPPROTO_UDP)
		return 0;
	found.backend = socket->backend_address;
	found.service = socket->service;
	if (stands(&found, socket->backend) || !goes_to_backend(sk, &found))
		return 0;
	found.local.port = sk->__sk_common.skc_num;
	found.local.protocol = IPPROTO_UDP;
	found.cookie = sk->__sk_common.skc_cookie.counter;
	found.netns = sk->__sk_common.skc_net.net->ns.inum;
	found.interface = sk->__sk_common.skc_bound_dev_if;
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found)); /* a full buffer: called again with the next one */
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
