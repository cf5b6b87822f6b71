// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * How the TCP connections that mesh/service translated go: established and after what time, refused, unanswered, reset.
 * A few calls in a connection's life, none a packet; sockets that were not translated are left at the first look.
 * On the same cgroup as mesh/service, whose tables it shares.
 *
 * Of a Multipath TCP connection, the first subflow is what connects to the service.  It is a kernel's own socket, as
 * those of NFS are: no program runs when it is released, so it is counted as live from here, while TCP has it.
 */
#include "bpf/lib/service_active.h"
#include "bpf/lib/service_latency.h"
#include "bpf/lib/service_maps.h"

enum { FAMILY_INET = 2, ERR_CONNABORTED = 103, ERR_TIMEDOUT = 110, ERR_CONNREFUSED = 111 };

/* The socket goes where it was translated to, and nowhere else since. */
static __always_inline bool goes_to_backend(struct bpf_sock_ops *ops, const struct cf_svc_socket *socket)
{
	const __u32 *words = (const __u32 *)socket->backend_address.address;
	__u32 word;

	if (ops->family == FAMILY_INET) {
		word = ops->remote_ip4;
		barrier_var(word); /* or clang reads from a computed place in the context, which the verifier refuses */
	} else {
		word = ops->remote_ip6[3];
	}
	return word == words[3] && bpf_ntohl(ops->remote_port) == socket->backend_address.port;
}

static __always_inline void count_latency(struct cf_backend_load *load, __u64 us)
{
	__u32 bucket = 0;

	for (__u64 limit = CF_SVC_LATENCY_FIRST_US; us >= limit && bucket < CF_SVC_LATENCY_BUCKETS - 1; limit <<= 1)
		bucket++;
	__sync_fetch_and_add(&load->connect_us, us);
	if (bucket < CF_SVC_LATENCY_BUCKETS)
		__sync_fetch_and_add(&load->latency[bucket], 1);
}

static __always_inline void begin(struct bpf_sock_ops *ops, struct cf_svc_socket *socket)
{
	if (socket->phase != CF_SVC_CHOSEN || !goes_to_backend(ops, socket))
		return;
	socket->phase = CF_SVC_CONNECTING;
	socket->since_ns = bpf_ktime_get_ns();
	if (!bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG) && socket->kernels)
		svc_take(socket, socket->kernels & CF_SVC_KERNELS_PENDING);
}

static __always_inline void established(struct cf_svc_socket *socket)
{
	struct cf_backend_load *load;
	__u64 us;

	if (socket->phase != CF_SVC_CONNECTING)
		return;
	us = (bpf_ktime_get_ns() - socket->since_ns) / 1000;
	socket->phase = CF_SVC_CONNECTED;
	svc_not_pending(socket);
	load = bpf_map_lookup_elem(&svc_load_be, &socket->backend);
	if (!load)
		return;
	__sync_fetch_and_add(&load->results[CF_SVC_R_ESTABLISHED], 1);
	load->failures_in_row = 0;
	count_latency(load, us);
	cost_observe(load, us);
}

/* The connection's error, as the application is about to be told. */
static __always_inline int error_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;

	return tcp ? tcp->inet_conn.icsk_inet.sk.sk_err : 0;
}

static __always_inline void failed(struct bpf_sock_ops *ops, struct cf_svc_socket *socket)
{
	struct cf_backend_load *load = bpf_map_lookup_elem(&svc_load_be, &socket->backend);
	__u64 us = (bpf_ktime_get_ns() - socket->since_ns) / 1000;
	int error = error_of(ops);
	__u32 result;

	socket->phase = CF_SVC_OVER;
	svc_not_pending(socket);
	if (!load)
		return;
	if (error == ERR_CONNREFUSED)
		result = CF_SVC_R_REFUSED;
	else if (error == ERR_TIMEDOUT)
		result = CF_SVC_R_TIMED_OUT;
	else if (error && error != ERR_CONNABORTED)
		result = CF_SVC_R_UNREACHABLE;
	else
		result = ops->total_retrans ? CF_SVC_R_TIMED_OUT : CF_SVC_R_ABANDONED;
	__sync_fetch_and_add(&load->results[result], 1);
	if (result == CF_SVC_R_ABANDONED)
		return;
	__sync_fetch_and_add(&load->failures_in_row, 1);
	cost_observe(load, us > COST_OF_FAILURE_US ? us : COST_OF_FAILURE_US);
}

static __always_inline void over(struct bpf_sock_ops *ops, struct cf_svc_socket *socket, int error)
{
	struct cf_backend_load *load = bpf_map_lookup_elem(&svc_load_be, &socket->backend);
	__u32 result = CF_SVC_R_ENDED, round_trip = ops->srtt_us >> 3;

	socket->phase = CF_SVC_OVER;
	if (!load)
		return;
	if (error && error != ERR_CONNABORTED)
		result = error == ERR_TIMEDOUT ? CF_SVC_R_BROKEN : CF_SVC_R_RESET;
	__sync_fetch_and_add(&load->results[result], 1);
	if (result == CF_SVC_R_ENDED)
		load->breaks_in_row = 0;
	else
		__sync_fetch_and_add(&load->breaks_in_row, 1);
	if (!round_trip)
		return;
	load->round_trip_us =
		load->round_trip_us ? load->round_trip_us - load->round_trip_us / 8 + round_trip / 8 : round_trip;
}

/* Is called before the state changes. */
static __always_inline void change(struct bpf_sock_ops *ops, struct cf_svc_socket *socket)
{
	__u32 next = ops->args[1];
	bool closes = next == TCP_FIN_WAIT1 || next == TCP_LAST_ACK;

	if (socket->phase == CF_SVC_CONNECTING && next == TCP_CLOSE)
		failed(ops, socket);
	if (closes && socket->kernels)
		svc_let_go(socket);
	if (socket->phase == CF_SVC_CONNECTED) {
		/* The caller has closed: what the other side still says concerns nobody. */
		if (!socket->counted && (closes || next == TCP_CLOSE))
			over(ops, socket, 0);
		else if (next == TCP_CLOSE)
			over(ops, socket, error_of(ops));
	}
	if (next == TCP_CLOSE && socket->kernels)
		svc_let_go(socket);
}

SEC("sockops")
int svc_tcp(struct bpf_sock_ops *ops)
{
	struct cf_svc_socket *socket;
	struct bpf_sock *sk = ops->sk;

	if (ops->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    ops->op != BPF_SOCK_OPS_STATE_CB)
		return CF_PASS;
	socket = sk ? bpf_sk_storage_get(&svc_sockets, sk, 0, 0) : NULL;
	if (!socket)
		return CF_PASS;
	if (ops->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		begin(ops, socket);
	else if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		established(socket);
	else
		change(ops, socket);
	return CF_PASS;
}

char LICENSE[] SEC("license") = "GPL";
