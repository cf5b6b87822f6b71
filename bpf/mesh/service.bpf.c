// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Services at connect time: a socket that connects, or sends, to a service's address is given a backend's in its place,
 * once; no packet is touched.  The application goes on seeing the service's address.  On the root cgroup: every process
 * in every network namespace whose sockets the kernel's own connect() and sendmsg() serve.
 */
#include "bpf/lib/service_active.h"
#include "bpf/lib/service_choice.h"

enum { CGROUP_LEVELS = 12 /* how deep a workload's cgroup may lie, and a process below it */ };

/* The current process: by its network namespace, or its cgroup. */
static __always_inline void know_caller(void *ctx, struct caller *caller, bool deep)
{
	struct cf_svc_caller_key key = {.kind = CF_SVC_CALLER_NETNS};
	struct cf_svc_caller *known;

	caller->client = bpf_get_netns_cookie(ctx);
	caller->version = 0;
	caller->hash = caller->client * 0x9e3779b97f4a7c15ULL; /* Fibonacci hashing: cookies are small numbers */
	if (!deep)
		return;
	key.id = caller->client;
	known = bpf_map_lookup_elem(&svc_callers, &key);
	key.kind = CF_SVC_CALLER_CGROUP;
	/* The workload's own cgroup, or the nearest above that is one. */
	for (int level = CGROUP_LEVELS; !known && level > 0; level--) {
		key.id = bpf_get_current_ancestor_cgroup_id(level);
		if (key.id)
			known = bpf_map_lookup_elem(&svc_callers, &key);
	}
	if (known) {
		caller->version = known->version;
		caller->hash = known->hash;
	}
}

static __always_inline bool forgotten(void *ctx, bool value)
{
	return FORGOTTEN(value, ((struct bpf_sock_addr *)ctx)->type) & 1;
}

enum { IPPROTO_MPTCP_ = 262, REFUSED = 111 /* ECONNREFUSED */ };

/* TCP and UDP are ours; Multipath TCP connects as TCP does.  0: not ours. */
static __always_inline __u8 protocol_of(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_MPTCP_)
		return IPPROTO_TCP;
	return ctx->protocol == IPPROTO_UDP ? IPPROTO_UDP : 0;
}

static __always_inline void read4(struct bpf_sock_addr *ctx, struct cf_svc_address *a)
{
	__u32 *words = (__u32 *)a->address;

	words[0] = words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = ctx->user_ip4;
	a->port = bpf_ntohs((__u16)ctx->user_port);
	a->protocol = protocol_of(ctx);
	a->pad = 0;
}

static __always_inline void read6(struct bpf_sock_addr *ctx, struct cf_svc_address *a)
{
	__u32 *words = (__u32 *)a->address;

	words[0] = ctx->user_ip6[0];
	words[1] = ctx->user_ip6[1];
	words[2] = ctx->user_ip6[2];
	words[3] = ctx->user_ip6[3];
	a->port = bpf_ntohs((__u16)ctx->user_port);
	a->protocol = protocol_of(ctx);
	a->pad = 0;
}

static __always_inline void write4(struct bpf_sock_addr *ctx, const struct cf_svc_address *a)
{
	ctx->user_ip4 = ((const __u32 *)a->address)[3];
	ctx->user_port = bpf_htons(a->port);
}

static __always_inline void write6(struct bpf_sock_addr *ctx, const struct cf_svc_address *a)
{
	const __u32 *words = (const __u32 *)a->address;

	ctx->user_ip6[0] = words[0];
	ctx->user_ip6[1] = words[1];
	ctx->user_ip6[2] = words[2];
	ctx->user_ip6[3] = words[3];
	ctx->user_port = bpf_htons(a->port);
}

static __always_inline bool same_address(const struct cf_svc_address *a, const struct cf_svc_address *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && a->port == b->port;
}

/* What connects of a Multipath TCP connection is its subflow; the application asks the socket above it for its peer. */
static __always_inline void note_multipath(struct bpf_sock_addr *ctx, const struct cf_svc_address *service_address,
					   const struct cf_svc_address *backend_address)
{
	struct mptcp_sock *above;
	struct cf_svc_socket *socket;

	/* 5.19; and a kernel may be built without Multipath TCP. */
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_skc_to_mptcp_sock) ||
	    !bpf_core_type_exists(struct mptcp_sock))
		return;
	above = ctx->sk ? bpf_skc_to_mptcp_sock(ctx->sk) : NULL;
	socket = above ? bpf_sk_storage_get(&svc_sockets, above, 0, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	if (!socket)
		return;
	socket->service_address = *service_address;
	socket->backend_address = *backend_address;
}

/* Remembers what the socket connected to, for getpeername, for the counts of connections and for observe/tcp. */
static __always_inline void note_connected(struct bpf_sock_addr *ctx, const struct cf_svc_address *service_address,
					   const struct cf_svc_address *backend_address, __u32 service,
					   const struct chosen *chosen, struct cf_backend_load *load)
{
	struct cf_svc_socket *socket;

	socket = ctx->sk ? bpf_sk_storage_get(&svc_sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	if (!socket) {
		svc_count(CF_SVC_C_HELPER_FAILED);
		if (chosen->counted)
			svc_drop(service, true, chosen->pending);
		return;
	}
	socket->service_address = *service_address;
	socket->backend_address = *backend_address;
	socket->service = service;
	socket->backend = chosen->number;
	socket->counted = chosen->counted;
	socket->pending = chosen->counted && chosen->pending;
	socket->kernels = !chosen->kernels  ? 0
			  : chosen->pending ? CF_SVC_KERNELS | CF_SVC_KERNELS_PENDING
					    : CF_SVC_KERNELS;
	socket->phase = chosen->watched ? CF_SVC_CHOSEN : CF_SVC_UNWATCHED;
	if (load && chosen->counted)
		__sync_fetch_and_add(&load->active, 1);
}

/* The socket connects anew: what it was connected to before is over.  True where a refusal would leave it connected. */
static __always_inline bool let_go_connected(struct bpf_sock_addr *ctx)
{
	struct cf_svc_socket *socket = ctx->sk ? bpf_sk_storage_get(&svc_sockets, ctx->sk, 0, 0) : NULL;
	bool stays;

	if (!socket)
		return false;
	stays = socket->counted && ctx->protocol == IPPROTO_UDP;
	if (socket->phase == CF_SVC_CHOSEN)
		svc_unsent(socket);
	svc_let_go(socket);
	return stays;
}

/* connect() is refused, and a UDP socket stays with what it was connected to. */
static __always_inline void take_back_connected(struct bpf_sock_addr *ctx)
{
	struct cf_svc_socket *socket = ctx->sk ? bpf_sk_storage_get(&svc_sockets, ctx->sk, 0, 0) : NULL;

	if (socket)
		svc_take(socket, false);
}

/* The socket connects to what is no service. */
static __always_inline void forget_connected(struct bpf_sock_addr *ctx)
{
	let_go_connected(ctx);
	if (ctx->sk)
		bpf_sk_storage_delete(&svc_sockets, ctx->sk);
}

static __always_inline void note_udp_pin(__u64 cookie, const struct cf_svc_address *service_address, __u32 backend)
{
	struct cf_svc_peer_key pin = {.cookie = cookie, .peer = *service_address};

	if (bpf_map_update_elem(&svc_pins, &pin, &backend, BPF_ANY))
		svc_count(CF_SVC_C_HELPER_FAILED);
}

/* Answers from there seem to come from the service that was asked last: another may have the same backend. */
static __always_inline void note_udp_peer(__u64 cookie, const struct cf_svc_address *service_address,
					  const struct cf_svc_address *backend_address)
{
	struct cf_svc_peer_key peer = {.cookie = cookie, .peer = *backend_address};
	struct cf_svc_address *known = bpf_map_lookup_elem(&svc_peers, &peer);

	if (known && same_address(known, service_address))
		return;
	if (bpf_map_update_elem(&svc_peers, &peer, service_address, BPF_ANY))
		svc_count(CF_SVC_C_HELPER_FAILED);
}

/* The UDP socket asks that address itself, which may be a backend that it had through a service before. */
static __always_inline void forget_udp_peer(struct bpf_sock_addr *ctx, const struct cf_svc_address *address)
{
	struct cf_svc_peer_key peer = {.cookie = bpf_get_socket_cookie(ctx), .peer = *address};

	if (bpf_map_lookup_elem(&svc_peers, &peer))
		bpf_map_delete_elem(&svc_peers, &peer);
}

/* The backend that this UDP socket's datagrams to that service went to, if it still is one. */
static __always_inline struct cf_backend *pinned_backend(__u64 cookie, const struct cf_svc_address *service_address,
							 __u32 service)
{
	struct cf_svc_peer_key pin = {.cookie = cookie, .peer = *service_address};
	__u32 *number = bpf_map_lookup_elem(&svc_pins, &pin);
	struct cf_backend *backend = number ? bpf_map_lookup_elem(&svc_backends, number) : NULL;

	return backend && backend->service == service ? backend : NULL;
}

/* observe/tcp follows this socket's connection. */
static __always_inline bool watched(struct bpf_sock_addr *ctx)
{
	__u32 zero = 0;
	__u32 *on = bpf_map_lookup_elem(&svc_watched, &zero);

	return ctx->protocol == IPPROTO_TCP && on && *on;
}

/* A kernel's own: cgroup/sock_release will not run for it. */
static __always_inline bool is_kernels(struct bpf_sock_addr *ctx)
{
	__u64 pointer = (__u64)ctx->sk, address = 0;
	struct tcp_sock *tcp = ctx->protocol == IPPROTO_TCP && ctx->sk ? bpf_skc_to_tcp_sock(ctx->sk) : NULL;
	struct sock *sk;

	if (tcp)
		return tcp->inet_conn.icsk_inet.sk.sk_kern_sock;
	/* The verifier follows `pointer` as a socket and forbids arithmetic on it; read back, it is a number. */
	if (!pointer || bpf_probe_read_kernel(&address, sizeof(address), &pointer))
		return true;
	sk = (struct sock *)address;
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock);
}

static __always_inline int refuse(void)
{
	/* Kernel commit b44123b4a3dc (5.18); before, the caller sees EPERM. */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_set_retval))
		bpf_set_retval(-REFUSED);
	return 0;
}

enum translation {
	UNTOUCHED,
	TRANSLATED, /* `a` is the backend's */
	REFUSE,
	REFUSE_EPERM,
};

static __always_inline enum translation translate(struct bpf_sock_addr *ctx, struct cf_svc_address *a, bool connecting)
{
	struct cf_svc_frontend *frontend = bpf_map_lookup_elem(&svc_frontends, a);
	struct cf_svc_address service_address = *a;
	struct cf_backend backend = {};
	struct cf_backend *pinned = NULL;
	struct cf_backend_load *load;
	enum choice choice;
	__u32 service;
	struct chosen chosen = {};
	__u64 cookie = 0;
	bool stays = false;

	if (!frontend)
		return UNTOUCHED;
	service = frontend->service;
	if (connecting) {
		chosen.watched = forgotten(ctx, watched(ctx));
		chosen.kernels = forgotten(ctx, is_kernels(ctx));
		stays = forgotten(ctx, let_go_connected(ctx));
	}
	if (a->protocol == IPPROTO_UDP)
		cookie = bpf_get_socket_cookie(ctx);
	if (!connecting)
		pinned = pinned_backend(cookie, a, service);
	if (pinned) {
		backend = *pinned;
	} else {
		choice = choose(ctx, service, connecting, &backend, &chosen);
		if (choice != CHOICE_MADE && chosen.counted)
			svc_drop(service, true, chosen.pending);
		if (choice != CHOICE_MADE && stays)
			take_back_connected(ctx);
		switch (choice) {
		case CHOICE_NONE:
			return UNTOUCHED;
		case CHOICE_EMPTY:
			svc_count(CF_SVC_C_REFUSED_EMPTY);
			return REFUSE;
		case CHOICE_BREAKER:
			svc_count(CF_SVC_C_REFUSED_BREAKER);
			return chosen.eperm ? REFUSE_EPERM : REFUSE;
		case CHOICE_BREAKER_PENDING:
			svc_count(CF_SVC_C_REFUSED_PENDING);
			return chosen.eperm ? REFUSE_EPERM : REFUSE;
		case CHOICE_LOST:
			svc_count(CF_SVC_C_LOST);
			return REFUSE;
		case CHOICE_MADE:
			break;
		}
	}
	__builtin_memcpy(a->address, backend.address, sizeof(a->address));
	a->port = backend.port;
	svc_count(CF_SVC_C_TRANSLATED);
	if (cookie)
		note_udp_peer(cookie, &service_address, a);
	if (pinned)
		return TRANSLATED;
	load = bpf_map_lookup_elem(&svc_load_be, &chosen.number);
	if (load)
		__sync_fetch_and_add(&load->chosen, 1);
	if (cookie)
		note_udp_pin(cookie, &service_address, chosen.number);
	if (connecting)
		note_connected(ctx, &service_address, a, service, &chosen, load);
	if (chosen.kernels && a->protocol == IPPROTO_TCP)
		note_multipath(ctx, &service_address, a);
	return TRANSLATED;
}

static __always_inline int at_connect(struct bpf_sock_addr *ctx, bool v6, bool connecting)
{
	struct cf_svc_address a;

	if (v6)
		read6(ctx, &a);
	else
		read4(ctx, &a);
	if (!a.protocol)
		return CF_PASS;
	switch (translate(ctx, &a, connecting)) {
	case TRANSLATED:
		if (v6)
			write6(ctx, &a);
		else
			write4(ctx, &a);
		return CF_PASS;
	case REFUSE:
		return refuse();
	case REFUSE_EPERM:
		return 0;
	case UNTOUCHED:
		if (connecting)
			forget_connected(ctx);
		if (a.protocol == IPPROTO_UDP)
			forget_udp_peer(ctx, &a);
		break;
	}
	return CF_PASS;
}

/* A datagram came from a backend: it seems to come from the service. */
static __always_inline int at_receive(struct bpf_sock_addr *ctx, bool v6)
{
	struct cf_svc_peer_key key = {};
	struct cf_svc_address *service;

	if (v6)
		read6(ctx, &key.peer);
	else
		read4(ctx, &key.peer);
	key.cookie = bpf_get_socket_cookie(ctx);
	service = bpf_map_lookup_elem(&svc_peers, &key);
	if (!service)
		return CF_PASS;
	if (v6)
		write6(ctx, service);
	else
		write4(ctx, service);
	svc_count(CF_SVC_C_REVERSED);
	return CF_PASS;
}

static __always_inline int at_getpeername(struct bpf_sock_addr *ctx, bool v6)
{
	struct cf_svc_socket *socket = ctx->sk ? bpf_sk_storage_get(&svc_sockets, ctx->sk, 0, 0) : NULL;
	struct cf_svc_address peer;

	if (!socket)
		return CF_PASS;
	if (v6)
		read6(ctx, &peer);
	else
		read4(ctx, &peer);
	if (!same_address(&peer, &socket->backend_address))
		return CF_PASS; /* connected elsewhere since */
	if (v6)
		write6(ctx, &socket->service_address);
	else
		write4(ctx, &socket->service_address);
	svc_count(CF_SVC_C_REVERSED);
	return CF_PASS;
}

SEC("cgroup/connect4")
int svc_connect4(struct bpf_sock_addr *ctx)
{
	return at_connect(ctx, false, true);
}

SEC("cgroup/connect6")
int svc_connect6(struct bpf_sock_addr *ctx)
{
	return at_connect(ctx, true, true);
}

SEC("cgroup/sendmsg4")
int svc_sendmsg4(struct bpf_sock_addr *ctx)
{
	return at_connect(ctx, false, false);
}

SEC("cgroup/sendmsg6")
int svc_sendmsg6(struct bpf_sock_addr *ctx)
{
	return at_connect(ctx, true, false);
}

SEC("cgroup/recvmsg4")
int svc_recvmsg4(struct bpf_sock_addr *ctx)
{
	return at_receive(ctx, false);
}

SEC("cgroup/recvmsg6")
int svc_recvmsg6(struct bpf_sock_addr *ctx)
{
	return at_receive(ctx, true);
}

SEC("cgroup/getpeername4")
int svc_getpeername4(struct bpf_sock_addr *ctx)
{
	return at_getpeername(ctx, false);
}

SEC("cgroup/getpeername6")
int svc_getpeername6(struct bpf_sock_addr *ctx)
{
	return at_getpeername(ctx, true);
}

SEC("cgroup/sock_release")
int svc_release(struct bpf_sock *sk)
{
	struct cf_svc_socket *socket = bpf_sk_storage_get(&svc_sockets, sk, 0, 0);

	if (!socket)
		return CF_PASS;
	if (socket->phase == CF_SVC_CHOSEN && sk->state == TCP_CLOSE)
		svc_unsent(socket);
	svc_let_go(socket);
	return CF_PASS;
}

char LICENSE[] SEC("license") = "GPL";
