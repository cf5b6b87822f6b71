// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Who may open connections to a workload's sockets, and to whom these may open some.  On the root cgroup's cgroup_skb
 * hooks: every socket of this machine in every network namespace, after whatever translated the packet, whichever
 * interfaces there are.
 *
 * TCP: packets to a listener are judged each (a handshake has two); a connection is judged by its packets that come in
 * at the socket that accepted it, and by those that go out at the socket that opened it, from its SYN on.  The verdict
 * stays with the socket, and counts for packets of both directions, until the generation changes; then the next packet
 * of the direction that is judged has it made again.  UDP: each datagram is judged, at the sender's socket and at the
 * receiver's, but answers to who spoke first.  What can't be judged is refused where there are policies.
 *
 * The connect hooks only say earlier what the packet would be told; they come after those that translate services.
 */
#include "bpf/lib/packet.h"
#include "bpf/lib/policy_boot.h"
#include "bpf/lib/policy_connect.h"
#include "bpf/lib/policy_events.h"
#include "bpf/lib/policy_role.h"

#define CF_DROP 0

enum { TCP_STATE_SYN_SENT = 2, TCP_STATE_LISTEN = 10, TCP_STATE_NEW_SYN_RECV = 12 };

/* Each verdict comes by here once. */
static __always_inline bool policy_refuses(const struct policy_packet *p, const struct cf_policy_judgment *made,
					   const struct policy_teller *who)
{
	enum cf_policy_verdict verdict = made->verdict;

	policy_count((who->out ? CF_POLICY_V_MAX : 0) + verdict);
	if (cf_policy_is_told(verdict))
		policy_tell(p, made, who);
	return verdict >= CF_POLICY_V_DENIED;
}

static __always_inline struct policy_teller policy_teller_of(struct __sk_buff *skb, struct bpf_sock *sk, bool egress)
{
	struct policy_teller who = {.cgroup_id = bpf_skb_cgroup_id(skb), .out = egress};
	__u32 state = sk->state;

	who.established = sk->protocol == IPPROTO_TCP && state != TCP_STATE_SYN_SENT && state != TCP_STATE_LISTEN &&
			  state != TCP_STATE_NEW_SYN_RECV;
	return who;
}

static __always_inline int policy_drop(void)
{
	policy_count(CF_POLICY_C_DROPPED);
	return CF_DROP;
}

static __always_inline bool policy_is_refused(const struct policy_socket *socket)
{
	return socket->judgment.verdict >= CF_POLICY_V_DENIED;
}

/* Another role, or another peer of one that opens a connection, has not been judged yet. */
static __always_inline struct policy_socket *policy_keep(struct bpf_sock *sk, __u8 role, const struct policy_packet *p)
{
	struct policy_socket *socket = bpf_sk_storage_get(&policy_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!socket) {
		policy_count(CF_POLICY_C_HELPER_FAILED);
		return NULL;
	}
	if (socket->role != role) {
		socket->role = role;
		socket->judgment.generation = 0;
	}
	if (role == POLICY_ROLE_OPENED &&
	    (socket->remote_port != p->remote_port || !policy_same_address(socket->remote, p->remote))) {
		__builtin_memcpy(socket->remote, p->remote, sizeof(socket->remote));
		socket->remote_port = p->remote_port;
		socket->judgment.generation = 0;
	}
	return socket;
}

static __always_inline int policy_on_tcp(struct __sk_buff *skb, struct bpf_sock *sk, const struct policy_packet *p,
					 const struct cf_policy_settings *settings, bool egress)
{
	const __u8 judged = egress ? POLICY_ROLE_OPENED : POLICY_ROLE_ACCEPTED;
	struct policy_socket *socket = bpf_sk_storage_get(&policy_sockets, sk, 0, 0);
	struct cf_policy_judgment made;
	struct policy_teller who;
	__u32 state = sk->state;
	bool refused, selected;

	if (state == TCP_STATE_LISTEN) {
		if (egress)
			return CF_PASS; /* answers to what was judged on its way in */
		policy_keep(sk, judged, p);
		socket = NULL; /* who comes next is another */
	} else if (state == TCP_STATE_SYN_SENT) {
		if (!egress)
			return CF_PASS; /* the answer to what was judged on its way out */
		socket = policy_keep(sk, judged, p);
	} else if (!socket) {
		if (egress)
			return CF_PASS; /* who opened it is seen at the next packet in */
		if (!policy_accepted(skb, p)) {
			policy_keep(sk, POLICY_ROLE_OPENED, p);
			return CF_PASS;
		}
		socket = policy_keep(sk, judged, p);
	} else if (socket->role != judged) {
		/* Of another generation: data that come in may bring about the answer that is judged anew. */
		refused = policy_is_refused(socket) && (egress || socket->judgment.generation == settings->generation);
		return refused ? policy_drop() : CF_PASS;
	}
	/* With each SYN, and for whoever judges anew: others may have taken its place in the table since. */
	if (egress && settings->flags & CF_POLICY_HAS_CGROUPS &&
	    (state == TCP_STATE_SYN_SENT || !socket || socket->judgment.generation != settings->generation))
		policy_note_caller(skb, sk, p);
	if (socket && socket->judgment.generation == settings->generation)
		return policy_is_refused(socket) ? policy_drop() : CF_PASS;
	if (socket && socket->judgment.generation)
		policy_count(CF_POLICY_C_REJUDGED);
	selected = policy_judge(&made, skb, sk, p, settings, egress);
	who = policy_teller_of(skb, sk, egress);
	refused = policy_refuses(p, &made, &who);
	if (socket)
		socket->judgment = made;
	if (egress && selected && settings->flags & CF_POLICY_HAS_OUT)
		policy_note_home(sk, p);
	return refused ? policy_drop() : CF_PASS;
}

static __always_inline void policy_peer_of(struct policy_peer *key, struct __sk_buff *skb,
					   const struct policy_packet *p)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->cookie = bpf_get_socket_cookie(skb);
	__builtin_memcpy(key->address, p->remote, sizeof(key->address));
	key->port = p->remote_port;
}

static __always_inline bool policy_is_recent(const struct policy_asked *asked, __u64 now)
{
	return asked && now - asked->time_ns < CF_POLICY_ASKED_SECONDS * 1000000000ULL;
}

/* Might whoever spoke first still do so?  Judged again where anything has changed since: also an address's owner. */
static __always_inline bool policy_may_answer(struct policy_asked *asked, struct __sk_buff *skb, struct bpf_sock *sk,
					      const struct policy_packet *p, const struct cf_policy_settings *settings,
					      bool egress)
{
	struct cf_policy_judgment first;

	if (asked->generation == settings->generation)
		return true;
	policy_judge(&first, skb, sk, p, settings, !egress);
	if (first.verdict >= CF_POLICY_V_DENIED)
		return false;
	asked->generation = settings->generation;
	return true;
}

static __always_inline struct policy_asked *policy_find_asked(struct __sk_buff *skb, const struct policy_packet *p)
{
	struct policy_peer key;

	policy_peer_of(&key, skb, p);
	return bpf_map_lookup_elem(&policy_asked, &key);
}

static __always_inline void policy_note_asked(struct __sk_buff *skb, const struct policy_packet *p,
					      const struct cf_policy_settings *settings, __u64 now, bool egress)
{
	struct policy_asked fresh = {.generation = settings->generation, .time_ns = now, .asked = egress};
	struct policy_peer key;

	policy_peer_of(&key, skb, p);
	if (bpf_map_update_elem(&policy_asked, &key, &fresh, BPF_ANY))
		policy_count(CF_POLICY_C_HELPER_FAILED);
}

static __always_inline int policy_on_udp(struct __sk_buff *skb, struct bpf_sock *sk, const struct policy_packet *p,
					 const struct cf_policy_settings *settings, bool egress)
{
	struct cf_policy_judgment made;
	struct policy_asked *asked;
	struct policy_teller who;
	__u64 now;
	bool recent;

	if (egress && settings->flags & CF_POLICY_HAS_CGROUPS)
		policy_note_caller(skb, sk, p);
	if (!policy_judge(&made, skb, sk, p, settings, egress)) {
		who = policy_teller_of(skb, sk, egress);
		return policy_refuses(p, &made, &who) ? policy_drop() : CF_PASS;
	}
	asked = policy_find_asked(skb, p);
	now = bpf_ktime_get_ns();
	recent = policy_is_recent(asked, now);
	if (made.verdict >= CF_POLICY_V_DENIED && recent && asked->asked != egress &&
	    policy_may_answer(asked, skb, sk, p, settings, egress))
		made.verdict = CF_POLICY_V_ANSWER;
	who = policy_teller_of(skb, sk, egress);
	if (policy_refuses(p, &made, &who)) {
		if (egress)
			policy_note_home(sk, p);
		return policy_drop();
	}
	if (made.verdict == CF_POLICY_V_OWN || made.verdict == CF_POLICY_V_ANSWER)
		return CF_PASS;
	if (recent && asked->generation == settings->generation)
		asked->time_ns = now;
	else
		policy_note_asked(skb, p, settings, now, egress);
	if (egress && !recent)
		policy_note_home(sk, p);
	return CF_PASS;
}

/* Without asking a policy. */
static __always_inline int policy_refuse(enum cf_policy_verdict verdict, struct __sk_buff *skb, struct bpf_sock *sk,
					 const struct policy_packet *p, const struct cf_policy_settings *settings,
					 bool egress)
{
	struct cf_policy_judgment made = {.generation = settings->generation, .verdict = verdict};
	struct policy_teller who = policy_teller_of(skb, sk, egress);

	policy_refuses(p, &made, &who);
	return policy_drop();
}

/* A connection that was let through, and nothing has changed since: its packets need not be read. */
static __always_inline bool policy_stands(struct bpf_sock *sk, const struct cf_policy_settings *settings)
{
	const struct policy_socket *socket;
	__u32 state = sk->state;

	if (state == TCP_STATE_SYN_SENT || state == TCP_STATE_LISTEN)
		return false;
	socket = bpf_sk_storage_get(&policy_sockets, sk, 0, 0);
	return socket && socket->judgment.generation == settings->generation && !policy_is_refused(socket);
}

static __always_inline int policy_on_packet(struct __sk_buff *skb, bool egress)
{
	__u32 zero = 0, ethertype = skb->protocol, protocol;
	const struct cf_policy_settings *settings = bpf_map_lookup_elem(&policy_settings, &zero);
	struct bpf_sock *sk = skb->sk;
	struct policy_packet p = {};
	struct packet parsed = {};
	enum packet_result result;
	bool closed;

	if (!settings || !(settings->flags & (CF_POLICY_ON | CF_POLICY_BOOT)) || !sk)
		return CF_PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return CF_PASS;
	protocol = sk->protocol;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return CF_PASS;
	closed = policy_is_closed(sk, settings);
	if (!closed && !(settings->flags & CF_POLICY_ON))
		return CF_PASS;
	if (!closed && protocol == IPPROTO_TCP && policy_stands(sk, settings))
		return CF_PASS;
	result = packet_parse(skb, ethertype, &parsed);
	if (result == PACKET_OK && parsed.protocol != protocol)
		return CF_PASS; /* an error about what was sent, to a socket of another kind */
	if (result != PACKET_OK ||
	    packet_addresses(skb, parsed.is_v6, egress ? p.local : p.remote, egress ? p.remote : p.local)) {
		if (!closed && egress && !(settings->flags & CF_POLICY_HAS_OUT))
			return CF_PASS;
		return policy_refuse(CF_POLICY_V_UNREADABLE, skb, sk, &p, settings, egress);
	}
	for (int i = 0; i < 2; i++) {
		((__u64 *)p.local)[i] += settings->zero;
		((__u64 *)p.remote)[i] += settings->zero;
	}
	p.protocol = protocol;
	p.local_port = bpf_ntohs(egress ? parsed.source_be : parsed.dest_be);
	p.remote_port = bpf_ntohs(egress ? parsed.dest_be : parsed.source_be);
	if (closed)
		return policy_is_own(&p) ? CF_PASS : policy_refuse(CF_POLICY_V_BOOT, skb, sk, &p, settings, egress);
	if (protocol == IPPROTO_TCP)
		return policy_on_tcp(skb, sk, &p, settings, egress);
	return policy_on_udp(skb, sk, &p, settings, egress);
}

SEC("cgroup_skb/ingress")
int policy_ingress(struct __sk_buff *skb)
{
	return policy_on_packet(skb, false);
}

SEC("cgroup_skb/egress")
int policy_egress(struct __sk_buff *skb)
{
	return policy_on_packet(skb, true);
}

static __always_inline int policy_on_connect(struct bpf_sock_addr *ctx, struct policy_packet *p)
{
	const struct cf_policy_settings *settings;
	struct policy_teller who = {.task_connects = true, .out = true};
	struct cf_policy_judgment made;
	__u32 zero = 0;
	bool own;

	settings = bpf_map_lookup_elem(&policy_settings, &zero);
	if (!settings || !(settings->flags & CF_POLICY_ON) || !(settings->flags & CF_POLICY_HAS_OUT) ||
	    ctx->protocol != IPPROTO_TCP)
		return CF_PASS;
	p->protocol = IPPROTO_TCP;
	p->remote_port = bpf_ntohs(ctx->user_port);
	own = policy_judge_connect(&made, ctx, p, settings);
	if (made.verdict < CF_POLICY_V_DENIED)
		return CF_PASS; /* counted with the SYN */
	if (own && policy_listens(ctx, p->remote, p->remote_port))
		return CF_PASS; /* the SYN shows whether it is */
	who.cgroup_id = bpf_get_current_cgroup_id();
	return policy_refuses(p, &made, &who) ? CF_DROP : CF_PASS;
}

SEC("cgroup/connect4")
int policy_connect4(struct bpf_sock_addr *ctx)
{
	struct policy_packet p = {};
	__u32 *words = (__u32 *)p.remote;

	words[2] = bpf_htonl(0xffff);
	words[3] = ctx->user_ip4;
	return policy_on_connect(ctx, &p);
}

SEC("cgroup/connect6")
int policy_connect6(struct bpf_sock_addr *ctx)
{
	struct policy_packet p = {};
	__u32 *words = (__u32 *)p.remote;

	words[0] = ctx->user_ip6[0];
	words[1] = ctx->user_ip6[1];
	words[2] = ctx->user_ip6[2];
	words[3] = ctx->user_ip6[3];
	return policy_on_connect(ctx, &p);
}

char LICENSE[] SEC("license") = "GPL";
