/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a socket says of its connection, as a record: of one that ends, and of one that is open. */
#ifndef CORTEXFLOW_LIB_FLOW_RECORD_H
#define CORTEXFLOW_LIB_FLOW_RECORD_H

#include "bpf/lib/flow_maps.h"
#include "bpf/lib/policy_sockets.h"

enum {
	FAMILY_INET = 2,
	SOCK_FLAG_DONE = 1, /* enum sock_flags: the other end's FIN has come */
};

/* Before 5.15: a pointer, or what cgroup v1's net_cls and net_prio say, which has the last bit. */
struct sock_cgroup_data___v5_10 {
	__u64 val;
} __attribute__((preserve_access_index));

static __always_inline __u64 flow_cgroup(struct sock *sk)
{
	struct cgroup *cgroup;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	} else {
		struct sock_cgroup_data___v5_10 *data = (void *)&sk->sk_cgrp_data;
		__u64 val = BPF_CORE_READ(data, val);

		cgroup = val & 1 ? NULL : (struct cgroup *)val;
	}
	return cgroup ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

static __always_inline void flow_addresses(struct cf_flow *record, struct sock *sk)
{
	__u32 *local = (__u32 *)record->local, *remote = (__u32 *)record->remote;

	if (sk->__sk_common.skc_family == FAMILY_INET) {
		local[2] = remote[2] = bpf_htonl(0xffff);
		local[3] = sk->__sk_common.skc_rcv_saddr;
		remote[3] = sk->__sk_common.skc_daddr;
	} else {
		for (int i = 0; i < 4; i++) {
			local[i] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			remote[i] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
	record->local_port = sk->__sk_common.skc_num;
	record->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
}

/* All but how it ended. */
static __always_inline void flow_fill(struct cf_flow *record, const struct flow_socket *flow, struct tcp_sock *tcp)
{
	struct sock *sk = &tcp->inet_conn.icsk_inet.sk;

	__builtin_memset(record, 0, sizeof(*record));
	record->head.type = CF_EVENT_FLOW;
	record->head.version = CF_FLOW_VERSION;
	record->head.len = sizeof(*record);
	record->start_ns = flow->start_ns;
	record->established_ns = flow->established_ns;
	record->end_ns = bpf_ktime_get_ns();
	record->bytes_sent = tcp->bytes_sent - tcp->bytes_retrans;
	record->bytes_received = tcp->bytes_received;
	/* A FIN has a place in the sequence, and is counted as an octet. */
	if (record->bytes_received && sk->__sk_common.skc_flags & 1UL << SOCK_FLAG_DONE)
		record->bytes_received--;
	record->cgroup_id = flow_cgroup(sk);
	flow_addresses(record, sk);
	record->direction = flow->direction;
	record->error = sk->sk_err;
	record->retransmits = tcp->total_retrans;
	record->round_trip_us = tcp->srtt_us >> 3;
	record->netns = sk->__sk_common.skc_net.net->ns.inum;
	record->tgid = flow->tgid;
	__builtin_memcpy(record->comm, flow->comm, sizeof(record->comm));
	__builtin_memcpy(record->service, flow->service, sizeof(record->service));
	record->service_port = flow->service_port;
}

static __always_inline void flow_policy(struct cf_flow *record, const struct policy_socket *socket)
{
	if (socket)
		record->policy = socket->judgment;
}

#endif
