// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Every TCP connection of this node's sockets, in every network namespace: one record when it ends.  On the root
 * cgroup's sock_ops hook: three short runs in a connection's life (SYN or handshake, established, closed) and one at
 * each change of state between; none a packet.
 *
 * Connections that were there before this program are not seen: nobody asked the kernel to tell of their states.  A
 * connect() that fails before a SYN is sent is none.
 */
#include "bpf/lib/flow_record.h"
#include "bpf/lib/service_sockets.h"

enum {
	ERR_PIPE = 32,
	ERR_CONNABORTED = 103,
	ERR_CONNRESET = 104,
	ERR_TIMEDOUT = 110,
	ERR_CONNREFUSED = 111,
	WAKE_BYTES = CF_FLOW_RING_BYTES / 4,
};

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

/* The service that the caller asked for, if mesh/service has chosen where this socket connects to. */
static __always_inline void flow_service(struct flow_socket *flow, struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct cf_svc_socket *chosen = bpf_sk_storage_get(&svc_sockets, sk, 0, 0);
	const __u32 *to;
	__u32 word;

	if (!chosen)
		return;
	to = (const __u32 *)chosen->backend_address.address;
	if (ops->family == FAMILY_INET) {
		word = ops->remote_ip4;
		barrier_var(word); /* or clang reads from a computed place in the context, which the verifier refuses */
	} else {
		word = ops->remote_ip6[3];
	}
	if (word != to[3] || bpf_ntohl(ops->remote_port) != chosen->backend_address.port)
		return;
	__builtin_memcpy(flow->service, chosen->service_address.address, sizeof(flow->service));
	flow->service_port = chosen->service_address.port;
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
	flow_service(flow, ops, sk);
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

static __always_inline void flow_ended(struct bpf_sock_ops *ops, struct bpf_sock *sk, struct flow_socket *flow)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct cf_flow *record;
	__u64 wake;

	if (!tcp)
		return;
	record = bpf_ringbuf_reserve(&flow_events, sizeof(*record), 0);
	if (!record) {
		flow_count(CF_FLOW_C_LOST_RING_FULL);
		flow->direction = 0;
		return;
	}
	flow_fill(record, flow, tcp);
	flow_policy(record, bpf_sk_storage_get(&policy_sockets, sk, 0, 0));
	record->outcome = flow_outcome(flow, ops->args[0], record->error, record->retransmits);
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
