/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Flows: how one begins, is kept and ends. */
#ifndef CORTEXFLOW_LIB_REDIRECT_FLOW_H
#define CORTEXFLOW_LIB_REDIRECT_FLOW_H

#include "bpf/lib/redirect_parts.h"
#include "bpf/lib/service_active.h"
#include "bpf/lib/service_choice.h"

/* The caller is the address that the packet comes from. */
static __always_inline void know_caller(void *ctx, struct caller *caller, bool deep)
{
	const struct frame *p = ctx;
	struct cf_svc_caller_key key = {.kind = CF_SVC_CALLER_ADDRESS};
	struct cf_svc_caller *known;

	caller->client = cf_svc_address_id(p->flow.source);
	caller->version = 0;
	caller->hash = caller->client;
	if (!deep)
		return;
	key.id = caller->client;
	known = bpf_map_lookup_elem(&svc_callers, &key);
	if (known) {
		caller->version = known->version;
		caller->hash = known->hash;
	}
}

static __always_inline bool forgotten(void *ctx, bool value)
{
	const struct frame *p = ctx;

	return FORGOTTEN(value, p->tick) & 1;
}

/* The key of the flow's other way. */
static __always_inline void redirect_other_way(const struct cf_redirect_flow *flow,
					       const struct cf_redirect_entry *entry, struct cf_redirect_flow *key)
{
	wire_set_v6(key->source, entry->dest);
	wire_set_v6(key->dest, entry->source);
	key->source_port = entry->dest_port;
	key->dest_port = entry->source_port;
	key->ifindex = flow->ifindex;
	key->protocol = flow->protocol;
	key->direction = CF_REDIRECT_FROM_WORKLOAD;
	if (!(entry->flags & (CF_REDIRECT_REPLY | CF_REDIRECT_HAIRPIN)))
		key->direction = CF_REDIRECT_TO_WORKLOAD;
	key->pad = 0;
}

static __always_inline void redirect_make_reply(const struct frame *p, const struct cf_redirect_entry *entry,
						struct cf_redirect_entry *reply)
{
	wire_set_v6(reply->source, p->flow.dest);
	wire_set_v6(reply->dest, p->flow.source);
	reply->source_port = p->flow.dest_port;
	reply->dest_port = p->flow.source_port;
	reply->service = entry->service;
	reply->backend = entry->backend;
	reply->tick = entry->tick;
	reply->flags = CF_REDIRECT_REPLY | (entry->flags & CF_REDIRECT_HAIRPIN);
}

static __always_inline bool redirect_backend_stands(const struct cf_redirect_entry *entry)
{
	__u32 number = entry->backend;
	struct cf_backend *backend = bpf_map_lookup_elem(&svc_backends, &number);

	return backend && backend->service == entry->service;
}

static __always_inline bool redirect_is_over(const struct cf_redirect_entry *entry, __u8 protocol, __u32 tick)
{
	/* Below 0: another CPU's clock has just ticked. */
	return (entry->flags & CF_REDIRECT_CLOSED) ||
	       (protocol == IPPROTO_UDP && (__s32)(tick - entry->tick) > (__s32)CF_REDIRECT_UDP_TICKS);
}

/* Whether the packet goes on to the backend of this entry, or begins a flow anew.  A TCP connection stays with its
 * backend, though that has gone from the service; datagrams move, as those of sockets do at send time. */
static __always_inline bool redirect_goes_on(const struct frame *p, const struct cf_redirect_entry *entry)
{
	bool begins = p->flow.protocol == IPPROTO_UDP || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;

	if ((entry->flags & CF_REDIRECT_REPLY) || p->kind == WIRE_ICMP_ERROR || p->kind == WIRE_LATER_FRAGMENT ||
	    !begins)
		return true;
	return !redirect_is_over(entry, p->flow.protocol, p->tick) && redirect_backend_stands(entry);
}

/* The connection is not live any more, if it was. */
static __noinline void redirect_release(const struct cf_redirect_flow *caller)
{
	struct cf_redirect_live *live = bpf_map_lookup_elem(&redirect_live, caller);
	__u32 service, backend;

	if (!live)
		return;
	service = live->service;
	backend = live->backend;
	if (!bpf_map_delete_elem(&redirect_live, caller)) /* else another CPU has */
		svc_ended(service, backend, false);
}

/* The table's time, and TCP's end, on both ways of a flow. */
static __noinline void redirect_track(const struct frame *p, struct cf_redirect_entry *entry)
{
	struct cf_redirect_flow key;
	struct cf_redirect_entry *other, again;

	entry->tick = p->tick;
	if (p->kind == WIRE_WHOLE && (p->tcp_flags & (TCP_FIN | TCP_RST)))
		entry->flags |= p->tcp_flags & TCP_RST ? CF_REDIRECT_CLOSED : CF_REDIRECT_FIN;
	if (entry->flags & CF_REDIRECT_REPLY)
		entry->flags |= CF_REDIRECT_ANSWERED;
	redirect_other_way(&p->flow, entry, &key);
	other = bpf_map_lookup_elem(&redirect_flows, &key);
	if (!other) {
		if (entry->flags & CF_REDIRECT_REPLY)
			return;
		/* Quiet for long, and pushed out: answers are to find their way again. */
		redirect_make_reply(p, entry, &again);
		if (bpf_map_update_elem(&redirect_flows, &key, &again, BPF_NOEXIST))
			svc_count(CF_SVC_C_HELPER_FAILED);
		return;
	}
	other->tick = p->tick;
	if ((entry->flags & CF_REDIRECT_ANSWERED) && !(other->flags & CF_REDIRECT_ANSWERED))
		other->flags |= CF_REDIRECT_ANSWERED; /* once: its FIN may come on another CPU right now */
	if ((entry->flags & CF_REDIRECT_CLOSED) || (entry->flags & other->flags & CF_REDIRECT_FIN)) {
		entry->flags |= CF_REDIRECT_CLOSED;
		other->flags |= CF_REDIRECT_CLOSED;
		redirect_release(entry->flags & CF_REDIRECT_REPLY ? &key : &p->flow);
	}
}

static __always_inline void redirect_touch(const struct frame *p, struct cf_redirect_entry *entry)
{
	const __u32 first = CF_REDIRECT_REPLY | CF_REDIRECT_ANSWERED, last = CF_REDIRECT_FIN | CF_REDIRECT_CLOSED;

	/* What follows a FIN looks again: two that crossed on two CPUs may not have seen one another. */
	if (entry->tick != p->tick || (p->tcp_flags & (TCP_FIN | TCP_RST)) ||
	    (entry->flags & first) == CF_REDIRECT_REPLY || (entry->flags & last) == CF_REDIRECT_FIN)
		redirect_track(p, entry);
}

static __always_inline bool redirect_is_v4(const __u32 *words)
{
	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline bool redirect_is_loopback(const struct cf_backend *backend)
{
	const __u32 *words = (const __u32 *)backend->address;

	if (redirect_is_v4(words))
		return backend->address[12] == 127;
	return !words[0] && !words[1] && !words[2] && words[3] == bpf_htonl(1);
}

/* Chooses a backend, and says in `entry` what the flow's packets get. */
static __noinline __u32 redirect_choose(struct frame *p, __u32 service, struct cf_redirect_entry *entry)
{
	struct cf_backend backend = {};
	struct cf_redirect_live live;
	struct cf_backend_load *load;
	struct chosen chosen = {}; /* not watched: these connections have no sockets here */
	enum choice choice = choose(p, service, p->flow.protocol == IPPROTO_TCP, &backend, &chosen);

	if (choice != CHOICE_MADE && chosen.counted)
		svc_drop(service, true, chosen.pending);
	switch (choice) {
	case CHOICE_NONE:
		return CF_REDIRECT_V_NOT_SERVICE;
	case CHOICE_EMPTY:
		return CF_REDIRECT_V_REFUSED_EMPTY;
	case CHOICE_BREAKER:
	case CHOICE_BREAKER_PENDING:
		return CF_REDIRECT_V_REFUSED_BREAKER;
	case CHOICE_LOST:
		return CF_REDIRECT_V_REFUSED_LOST;
	case CHOICE_MADE:
		break;
	}
	if (redirect_is_v4((__u32 *)backend.address) == p->is_v6 || redirect_is_loopback(&backend)) {
		if (chosen.counted)
			svc_drop(service, true, false);
		return CF_REDIRECT_V_REFUSED_UNREACHABLE;
	}
	load = bpf_map_lookup_elem(&svc_load_be, &chosen.number);
	if (load) {
		__sync_fetch_and_add(&load->chosen, 1);
		if (chosen.counted)
			__sync_fetch_and_add(&load->active, 1);
	}
	live.service = service;
	live.backend = chosen.number;
	if (chosen.counted && bpf_map_update_elem(&redirect_live, &p->flow, &live, BPF_NOEXIST)) {
		svc_ended(service, chosen.number, false);
		svc_count(CF_SVC_C_HELPER_FAILED);
	}
	wire_set_v6(entry->source, p->flow.source);
	wire_set_v6(entry->dest, backend.address);
	entry->source_port = p->flow.source_port;
	entry->dest_port = backend.port;
	entry->service = service;
	entry->backend = chosen.number;
	entry->tick = p->tick;
	entry->flags = 0;
	if (wire_same(backend.address, p->flow.source)) {
		/* Its own address would be a martian's to it: its calls come from the service's, as does the answer. */
		entry->flags = CF_REDIRECT_HAIRPIN;
		wire_set_v6(entry->source, p->flow.dest);
	}
	return CF_REDIRECT_V_OPENED;
}

/* Puts both ways into the table.  Another flow of the workload's may have the same port and, behind another service,
 * the same backend: the newer one is given a source port that the workload does not see. */
static __noinline __u32 redirect_remember(const struct frame *p, struct cf_redirect_entry *entry)
{
	struct cf_redirect_entry reply;
	struct cf_redirect_flow key;
	bool placed = false;

	redirect_make_reply(p, entry, &reply);
	redirect_other_way(&p->flow, entry, &key);
	for (int i = 0; i < CF_REDIRECT_PORT_TRIES && !placed; i++) {
		struct cf_redirect_entry *held = bpf_map_lookup_elem(&redirect_flows, &key);

		if (!held) {
			placed = !bpf_map_update_elem(&redirect_flows, &key, &reply, BPF_NOEXIST);
		} else if (redirect_is_over(held, p->flow.protocol, p->tick) ||
			   (held->dest_port == reply.dest_port && held->source_port == reply.source_port &&
			    wire_same(held->dest, reply.dest) && wire_same(held->source, reply.source))) {
			placed = !bpf_map_update_elem(&redirect_flows, &key, &reply, BPF_ANY);
		}
		if (!placed)
			key.dest_port = CF_REDIRECT_PORT_MIN +
					bpf_get_prandom_u32() % (CF_REDIRECT_PORT_MAX - CF_REDIRECT_PORT_MIN + 1);
	}
	if (!placed)
		return CF_REDIRECT_V_REFUSED_NO_PORT;
	entry->source_port = key.dest_port;
	if (bpf_map_update_elem(&redirect_flows, &p->flow, entry, BPF_ANY)) {
		bpf_map_delete_elem(&redirect_flows, &key);
		return CF_REDIRECT_V_REFUSED_FULL;
	}
	return CF_REDIRECT_V_OPENED;
}

/* A flow to the service begins: CF_REDIRECT_V_OPENED, or why not. */
static __always_inline __u32 redirect_open(struct frame *p, __u32 service, struct cf_redirect_entry *entry)
{
	__u32 verdict;

	if (p->flow.protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return CF_REDIRECT_V_REFUSED_UNKNOWN;
	verdict = redirect_choose(p, service, entry);
	if (verdict != CF_REDIRECT_V_OPENED)
		return verdict;
	verdict = redirect_remember(p, entry);
	if (verdict != CF_REDIRECT_V_OPENED)
		redirect_release(&p->flow);
	return verdict;
}

#endif
