/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Backends on this node.  Their packets go on through the stack, which brings them to a pod or to a socket of the
 * node's own, and so do their answers: here, where these leave the node by an interface of the edge's, they become the
 * frontend's.  So connection tracking and the node's firewall see both ways of a flow between the client and the
 * backend, and nothing has to hang on pods' interfaces, which come and go.
 */
#ifndef CORTEXFLOW_LIB_EDGE_OUT_H
#define CORTEXFLOW_LIB_EDGE_OUT_H

#include "bpf/lib/edge_deny.h"
#include "bpf/lib/edge_nat.h"
#include "bpf/lib/frame_rewrite.h"

static __noinline int frame_recall_part(struct frame *f)
{
	const struct cf_edge_fragment *ports =
		edge_find_fragment(f->flow.source, f->flow.dest, f->part, f->flow.protocol);

	if (!ports)
		return WIRE_UNKNOWN_FRAGMENT;
	f->flow.source_port = ports->source_port;
	f->flow.dest_port = ports->dest_port;
	return WIRE_PARSED;
}

/* What the tables of flows ask of a packet. */
static __always_inline void edge_take_frame(struct __sk_buff *skb, const struct frame *f, struct edge_packet *p)
{
	__be32 sequence = 0;

	__builtin_memset(p, 0, sizeof(*p));
	__builtin_memcpy(p->flow.source, f->flow.source, sizeof(p->flow.source));
	__builtin_memcpy(p->flow.dest, f->flow.dest, sizeof(p->flow.dest));
	p->flow.source_port = f->flow.source_port;
	p->flow.dest_port = f->flow.dest_port;
	p->flow.protocol = f->flow.protocol;
	p->fragment = f->part;
	p->kind = f->kind;
	p->tcp_flags = f->tcp_flags;
	p->tick = edge_tick();
	if ((f->tcp_flags & TCP_SYN) && !bpf_skb_load_bytes(skb, f->l4 + 4, &sequence, sizeof(sequence)))
		p->sequence = bpf_ntohl(sequence);
}

static __noinline int edge_answered(struct __sk_buff *skb, const struct frame *f,
				    const struct cf_edge_settings *settings)
{
	__u32 zero = 0;
	struct edge_packet *p = bpf_map_lookup_elem(&edge_packets, &zero);
	const struct frame_ends *to;
	struct cf_edge_nat *entry;
	bool stands, done;

	if (!p)
		return ACT_PASS;
	edge_take_frame(skb, f, p);
	entry = edge_find_reply(p, &stands);
	if (!entry)
		return ACT_PASS;
	if (stands && (entry->flags & CF_EDGE_CLOSED))
		edge_retire(p, entry);
	if ((settings->flags & (CF_EDGE_DENY_ANY | CF_EDGE_DENY_PORT)) &&
	    edge_denied(settings->flags, entry->dest, entry->source_port, CF_EDGE_OUT))
		return edge_verdict(CF_EDGE_V_DENIED, ACT_DROP);
	if (p->kind == WIRE_FIRST_FRAGMENT)
		edge_remember_fragment(p);
	to = (const struct frame_ends *)entry;
	done = f->kind == WIRE_ICMP_ERROR ? frame_rewrite_error(skb, f, to) : frame_rewrite(skb, f, to);
	if (!done)
		return edge_verdict(CF_EDGE_V_HELPER_FAILED, ACT_DROP);
	return edge_verdict(f->kind == WIRE_ICMP_ERROR ? CF_EDGE_V_ERROR_FOLLOWED : CF_EDGE_V_REPLIED, ACT_PASS);
}

static __always_inline int edge_leave(struct __sk_buff *skb)
{
	const struct cf_edge_settings *settings;
	const struct cf_edge_frontend *from;
	struct frame f = {};
	__u32 zero = 0;

	settings = bpf_map_lookup_elem(&edge_settings, &zero);
	if (!settings || !(settings->flags & CF_EDGE_HAS_LOCAL) || frame_parse(skb, &f, 0) != WIRE_PARSED)
		return ACT_PASS;
	/* Of a backend, or of a frontend, which may be a backend of another. */
	from = edge_frontend_of(f.flow.source, f.flow.source_port, f.flow.protocol);
	if (!from)
		return ACT_PASS;
	return edge_answered(skb, &f, settings);
}

#endif
