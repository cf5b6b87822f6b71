// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Process attribution, best way: kprobes where a message is sent, whatever system call or io_uring brought it there. */
#include "bpf/lib/dns_owner.h"

static __always_inline void note_sender(struct sock *sk, struct msghdr *msg)
{
	__u16 port = 0;
	void *name = msg ? BPF_CORE_READ(msg, msg_name) : NULL;

	/* The kernel's copy of the destination; sin_port and sin6_port lie at the same place. */
	if (name)
		bpf_probe_read_kernel(&port, sizeof(port), name + offsetof(struct sockaddr_in, sin_port));
	else
		port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	if (is_dns_port(port))
		set_owner((__u64)sk, CF_OWNER_KPROBE);
}

SEC("kprobe/udp_sendmsg")
int BPF_KPROBE(dns_udp_send, struct sock *sk, struct msghdr *msg)
{
	note_sender(sk, msg);
	return 0;
}

SEC("kprobe/udpv6_sendmsg")
int BPF_KPROBE(dns_udp6_send, struct sock *sk, struct msghdr *msg)
{
	note_sender(sk, msg);
	return 0;
}

SEC("kprobe/tcp_sendmsg")
int BPF_KPROBE(dns_tcp_send, struct sock *sk)
{
	note_sender(sk, NULL);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
