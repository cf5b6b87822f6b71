// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Process attribution without kprobes: the cgroup hooks of connect() and of sending with a destination.  A socket that
 * was connected before the agent came is not seen here, and one that was handed on counts for who connected it.
 */
#include "bpf/lib/dns_owner.h"

static __always_inline int note_sender(struct bpf_sock_addr *ctx)
{
	__u64 sock = (__u64)ctx->sk; /* a kernel pointer as a key: needs CAP_PERFMON */

	if (sock && is_dns_port((__u16)ctx->user_port))
		set_owner(sock, CF_OWNER_CGROUP);
	return CF_PASS;
}

SEC("cgroup/connect4")
int dns_connect4(struct bpf_sock_addr *ctx)
{
	return note_sender(ctx);
}

SEC("cgroup/connect6")
int dns_connect6(struct bpf_sock_addr *ctx)
{
	return note_sender(ctx);
}

SEC("cgroup/sendmsg4")
int dns_sendmsg4(struct bpf_sock_addr *ctx)
{
	return note_sender(ctx);
}

SEC("cgroup/sendmsg6")
int dns_sendmsg6(struct bpf_sock_addr *ctx)
{
	return note_sender(ctx);
}

char LICENSE[] SEC("license") = "GPL";
