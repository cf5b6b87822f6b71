/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The way of a packet through the edge, from the frame to its verdict. */
#ifndef CORTEXFLOW_LIB_EDGE_PATH_H
#define CORTEXFLOW_LIB_EDGE_PATH_H

#include "bpf/lib/edge_answer.h"
#include "bpf/lib/edge_deny.h"
#include "bpf/lib/edge_nat.h"
#include "bpf/lib/edge_tunnel.h"

static __noinline int edge_translate(struct xdp_md *ctx, const struct edge_packet *p,
				     const struct cf_edge_settings *settings, const struct cf_edge_nat *to,
				     __u32 verdict)
{
	struct cf_edge_hop *hop = NULL;
	__u32 way = CF_EDGE_V_STACK, mtu;

	if (!(to->flags & CF_EDGE_STAYS)) {
		if (p->ttl <= 1)
			return edge_answer(ctx, p, CF_EDGE_V_TTL_EXCEEDED, 0);
		way = edge_way(ctx, to->dest, p->is_v6, p->tick, &hop);
		if (!edge_way_is_open(way) || !hop)
			return edge_verdict(way, XDP_DROP);
		mtu = hop->mtu ?: settings->mtu;
		if (way == EDGE_WAY_KNOWN && p->length > mtu)
			return edge_answer(ctx, p, CF_EDGE_V_TOO_BIG, mtu);
	}
	if (p->kind == WIRE_ICMP_ERROR) {
		verdict = CF_EDGE_V_ERROR_FOLLOWED;
		if (!edge_rewrite_error(ctx, p, to))
			return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	} else if (!edge_rewrite(ctx, p, to)) {
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_DROP);
	}
	return edge_send(ctx, way, hop, verdict);
}

static __always_inline int edge_to_frontend(struct xdp_md *ctx, struct edge_packet *p,
					    const struct cf_edge_settings *settings,
					    const struct cf_edge_frontend *frontend)
{
	struct cf_edge_backend *backend;
	struct cf_edge_nat *entry, fresh;
	__u32 number = 0, verdict;

	if ((settings->flags & (CF_EDGE_DENY_ANY | CF_EDGE_DENY_PORT)) &&
	    edge_denied(settings->flags, p->flow.source, p->flow.dest_port, CF_EDGE_IN))
		return edge_verdict(CF_EDGE_V_DENIED, XDP_DROP);
	if ((frontend->flags & CF_EDGE_LIMITED) && !edge_admitted(frontend->service, p->flow.source))
		return edge_verdict(CF_EDGE_V_OUT_OF_RANGE, XDP_DROP);
	if (p->kind == WIRE_FIRST_FRAGMENT)
		edge_remember_fragment(p);
	p->tick = edge_tick();
	if (frontend->mode != CF_EDGE_NAT) {
		number = edge_choose(p, frontend, settings->hash_seed);
		backend = number ? edge_backend(number, frontend->service) : NULL;
		if (!backend)
			return edge_verdict(CF_EDGE_V_NO_BACKEND, XDP_DROP);
		if (!(backend->flags & CF_EDGE_LOCAL))
			return edge_tunnel(ctx, p, settings, backend, frontend->mode == CF_EDGE_GUE);
	}
	entry = edge_find_forward(p);
	if (entry)
		return edge_translate(ctx, p, settings, entry, CF_EDGE_V_TRANSLATED);
	if (p->kind == WIRE_ICMP_ERROR || p->kind == WIRE_LATER_FRAGMENT)
		return edge_verdict(CF_EDGE_V_REPLY_UNKNOWN, XDP_PASS);
	if (!number)
		number = edge_choose(p, frontend, settings->hash_seed);
	if (!number || !edge_backend(number, frontend->service))
		return edge_verdict(CF_EDGE_V_NO_BACKEND, XDP_DROP);
	verdict = edge_open(ctx, p, settings, number, &fresh);
	if (verdict)
		return edge_verdict(verdict, XDP_DROP);
	return edge_translate(ctx, p, settings, &fresh, CF_EDGE_V_TRANSLATED);
}

static __always_inline int edge_from_backend(struct xdp_md *ctx, struct edge_packet *p,
					     const struct cf_edge_settings *settings)
{
	struct cf_edge_nat *entry;
	bool stands;

	p->tick = edge_tick();
	entry = edge_find_reply(p, &stands);
	if (!entry)
		return edge_verdict(CF_EDGE_V_REPLY_UNKNOWN, XDP_PASS);
	if (entry->flags & CF_EDGE_CLOSED) {
		edge_note_closed(ctx, p, entry);
		if (stands)
			edge_retire(p, entry);
	}
	if ((settings->flags & (CF_EDGE_DENY_ANY | CF_EDGE_DENY_PORT)) &&
	    edge_denied(settings->flags, entry->dest, entry->source_port, CF_EDGE_OUT))
		return edge_verdict(CF_EDGE_V_DENIED, XDP_DROP);
	if (p->kind == WIRE_FIRST_FRAGMENT)
		edge_remember_fragment(p);
	return edge_translate(ctx, p, settings, entry, CF_EDGE_V_REPLIED);
}

static __always_inline int edge_receive(struct xdp_md *ctx)
{
	const struct cf_edge_settings *settings;
	struct cf_edge_frontend *frontend;
	__u32 zero = 0;
	struct edge_packet *p = bpf_map_lookup_elem(&edge_packets, &zero);

	if (!p)
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, XDP_PASS);
	__builtin_memset(p, 0, sizeof(*p));
	switch (edge_parse(ctx, p)) {
	case WIRE_PARSED:
		break;
	case WIRE_BAD:
		return edge_verdict(CF_EDGE_V_MALFORMED, XDP_PASS);
	case WIRE_UNKNOWN_FRAGMENT:
		return edge_verdict(CF_EDGE_V_FRAGMENT_UNKNOWN, XDP_PASS);
	default:
		return edge_verdict(CF_EDGE_V_NOT_OURS, XDP_PASS);
	}
	settings = bpf_map_lookup_elem(&edge_settings, &zero);
	if (!settings)
		return edge_verdict(CF_EDGE_V_NOT_OURS, XDP_PASS);
	frontend = edge_frontend_of(p->flow.dest, p->flow.dest_port, p->flow.protocol);
	if (frontend && frontend->mode != CF_EDGE_LOCAL_BACKEND)
		return edge_to_frontend(ctx, p, settings, frontend);
	if (frontend) {
		p->tick = edge_tick();
		edge_forget(p);
		return edge_verdict(CF_EDGE_V_NOT_OURS, XDP_PASS);
	}
	if (p->flow.dest_port < settings->nat_port_min || p->flow.dest_port > settings->nat_port_max ||
	    !wire_same(p->flow.dest, p->is_v6 ? settings->address6 : settings->address4))
		return edge_verdict(CF_EDGE_V_NOT_OURS, XDP_PASS);
	return edge_from_backend(ctx, p, settings);
}

#endif
