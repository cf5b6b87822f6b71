// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Process attribution, beside the cgroup hooks: tracepoint sock_send_length (kernel commit 6e6eda44b939, 6.3) fires
 * after a send on any socket, so that one that was connected before the agent came gets a name by its answer.
 */
#include "bpf/lib/dns_owner.h"

SEC("tp_btf/sock_send_length")
int BPF_PROG(dns_sent, struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	if (family != 2 /* AF_INET */ && family != 10 /* AF_INET6 */)
		return 0;
	if (is_dns_port(sk->__sk_common.skc_dport))
		set_owner((__u64)sk, CF_OWNER_TRACEPOINT);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
