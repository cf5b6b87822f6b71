// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Every TCP connection of this node's sockets, in every network namespace: one record when it ends.  On the root
 * cgroup's sock_ops hook: three short runs in a connection's life (SYN or handshake, established, closed) and one at
 * each change of state between; none a packet.
 *
 * Connections that were there before this program are not seen: nobody asked the kernel to tell of their states.  A
 * connect() that fails before a SYN is sent is none.
 */
#include "bpf/lib/flow_maps.h"
#include "bpf/lib/service_sockets.h"

enum {
	FAMILY_INET = 2,
	ERR_PIPE = 32,
	ERR_CONNABORTED = 103,
	ERR_CONNRESET = 104,
	ERR_TIMEDOUT = 110,
	ERR_CONNREFUSED = 111,
	SOCK_FLAG_DONE = 1, /* enum sock_flags: the other end's FIN has come */
	WAKE_BYTES = CF_FLOW_RING_BYTES / 4,
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

static __always_inline struct flow_socket *flow_begin(struct bpf_sock_ops *ops, struct bpf_sock *sk, __u32 direction)
{
	struct flow_socket *flow = bpf_sk_storage_get(&flow_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!flow || bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG)) {
		flow_count(CF_FLOW_C_UNTRACKED);
		return NULL;
	}
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->start_ns = bpf_ktime_get_ns();
	flow->direction = direction;
	return flow;
}

/* connect() runs in its caller. */
static __always_inline void flow_connecting(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct flow_socket *flow = flow_begin(ops, sk, CF_FLOW_OUT);
	struct task_struct *task;

	if (!flow)
		return;
	task = (struct task_struct *)bpf_get_current_task();
	flow->tgid = BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_STR_INTO(&flow->comm, task, group_leader, comm);
}

static __always_inline __u8 flow_outcome(const struct flow_socket *flow, __u32 before, int error, __u32 retransmits)
{
	if (!flow->established_ns) {
		if (error == ERR_CONNREFUSED)
			return CF_FLOW_REFUSED;
		if (error == ERR_TIMEDOUT)
			return CF_FLOW_TIMED_OUT;
		if (error && error != ERR_CONNABORTED)
			return CF_FLOW_UNREACHABLE;
		return retransmits ? CF_FLOW_TIMED_OUT : CF_FLOW_ABANDONED;
	}
	if (error == ERR_CONNRESET || error == ERR_PIPE)
		return CF_FLOW_RESET;
	if (error && error != ERR_CONNABORTED)
		return CF_FLOW_BROKEN;
	if (error || before == TCP_ESTABLISHED || before == TCP_CLOSE_WAIT || before == TCP_SYN_RECV)
		return CF_FLOW_ABORTED;
	return CF_FLOW_CLOSED;
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

/* The service that the caller asked for, if its socket still goes where mesh/service sent it. */
static __always_inline void flow_service(struct cf_flow *record, struct bpf_sock *sk)
{
	struct cf_svc_socket *chosen = bpf_sk_storage_get(&svc_sockets, sk, 0, 0);
	const __u64 *to = (const __u64 *)record->remote;
	const __u64 *backend;

	if (!chosen)
		return;
	backend = (const __u64 *)chosen->backend_address.address;
	if (backend[0] != to[0] || backend[1] != to[1] || chosen->backend_address.port != record->remote_port)
		return;
	__builtin_memcpy(record->service, chosen->service_address.address, sizeof(record->service));
	record->service_port = chosen->service_address.port;
}

static __always_inline void flow_ended(struct bpf_sock_ops *ops, struct bpf_sock *sk, struct flow_socket *flow)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct cf_flow *record;
	struct sock *socket;
	__u64 wake;

	if (!tcp)
		return;
	record = bpf_ringbuf_reserve(&flow_events, sizeof(*record), 0);
	if (!record) {
		flow_count(CF_FLOW_C_LOST_RING_FULL);
		flow->direction = 0;
		return;
	}
	socket = &tcp->inet_conn.icsk_inet.sk;
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
	if (record->bytes_received && socket->__sk_common.skc_flags & 1UL << SOCK_FLAG_DONE)
		record->bytes_received--;
	record->cgroup_id = flow_cgroup(socket);
	flow_addresses(record, socket);
	record->direction = flow->direction;
	record->error = socket->sk_err;
	record->retransmits = tcp->total_retrans;
	record->outcome = flow_outcome(flow, ops->args[0], record->error, record->retransmits);
	record->round_trip_us = tcp->srtt_us >> 3;
	record->netns = socket->__sk_common.skc_net.net->ns.inum;
	record->tgid = flow->tgid;
	__builtin_memcpy(record->comm, flow->comm, sizeof(record->comm));
	flow_service(record, sk);
	flow->direction = 0;
	flow_count(CF_FLOW_C_EMITTED);
	wake = bpf_ringbuf_query(&flow_events, BPF_RB_AVAIL_DATA) >= WAKE_BYTES ? BPF_RB_FORCE_WAKEUP
										 : BPF_RB_NO_WAKEUP;
	bpf_ringbuf_submit(record, wake);
}

SEC("sockops")
int flow_tcp(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct flow_socket *flow;

	if (!sk)
		return CF_PASS;
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		flow_connecting(ops, sk);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		flow = flow_begin(ops, sk, CF_FLOW_IN);
		if (flow)
			flow->established_ns = flow->start_ns;
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		flow = bpf_sk_storage_get(&flow_sockets, sk, 0, 0);
		if (flow)
			flow->established_ns = bpf_ktime_get_ns();
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] != TCP_CLOSE)
			break;
		flow = bpf_sk_storage_get(&flow_sockets, sk, 0, 0);
		if (flow && flow->direction)
			flow_ended(ops, sk, flow);
		break;
	}
	return CF_PASS;
}

char LICENSE[] SEC("license") = "GPL";
