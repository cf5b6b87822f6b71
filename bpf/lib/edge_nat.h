/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Translation both ways.  A flow has two entries, one under what its packets look like from the client, one under what
 * they look like from the backend; each says what its packets get.
 *
 * A flow begins in edge_opening, with a port of ours that no other flow to that backend has.  It moves to edge_nat when
 * its client has shown that it is where it says: TCP, by acknowledging the number that the backend chose, which nobody
 * knows who has not had the backend's SYN-ACK; UDP, by sending again after an answer.  So a flood of SYNs from made-up
 * addresses fills edge_opening, pushes out other half-open flows (the least lately used first) and nothing else; ports
 * are taken from closed and half-open flows when there are no free ones, never from one in edge_nat that is alive.
 *
 * A flow that both sides have closed, or the backend has reset, goes back to edge_opening, where it is pushed out
 * first: short connections in any number cost those that stand nothing, nor do strangers who pretend to be their
 * clients.
 */
#ifndef CORTEXFLOW_LIB_EDGE_NAT_H
#define CORTEXFLOW_LIB_EDGE_NAT_H

#include "bpf/lib/edge_port.h"

/* A new flow to that backend: `entry` is what its packets get.  0, or the verdict that it ends with. */
static __noinline __u32 edge_open(struct xdp_md *ctx, const struct edge_packet *p,
				  const struct cf_edge_settings *settings, __u32 number, struct cf_edge_nat *entry)
{
	struct cf_edge_backend *backend = bpf_map_lookup_elem(&edge_backends, &number);
	struct cf_edge_nat reply = {};
	struct cf_edge_flow key;
	const __u32 *own;
	__u32 tick = p->tick;

	if (!backend)
		return CF_EDGE_V_NO_BACKEND;
	own = (const __u32 *)(p->is_v6 ? settings->address6 : settings->address4);
	if (backend->flags & CF_EDGE_LOCAL)
		own = (const __u32 *)p->flow.source;
	else if (!own[3] && !own[0])
		return CF_EDGE_V_NO_ADDRESS;
	__builtin_memset(entry, 0, sizeof(*entry));
	__builtin_memcpy(entry->source, own, sizeof(entry->source));
	__builtin_memcpy(entry->dest, backend->address, sizeof(entry->dest));
	entry->source_port = p->flow.source_port;
	entry->dest_port = backend->port;
	entry->id = reply.id = backend->id;
	entry->backend = reply.backend = number;
	entry->tick = reply.tick = tick;
	reply.flags = CF_EDGE_REPLY;
	if ((p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		reply.flags |= CF_EDGE_BEGUN;
		reply.ack = p->sequence;
		reply.timestamp = edge_timestamp(ctx, p, false);
	}
	__builtin_memcpy(reply.source, p->flow.dest, sizeof(reply.source));
	__builtin_memcpy(reply.dest, p->flow.source, sizeof(reply.dest));
	reply.source_port = p->flow.dest_port;
	reply.dest_port = p->flow.source_port;
	edge_other_way(entry, p->flow.protocol, &key);
	if (backend->flags & CF_EDGE_LOCAL) {
		entry->flags = CF_EDGE_STAYS;
		/* The client's own address and port: taken only if it talks to this backend through another frontend;
		 * through this one it is the same flow, whose other half has gone. */
		struct cf_edge_nat *held = bpf_map_lookup_elem(&edge_nat, &key);
		bool taken = held && !edge_is_over(held, key.protocol, tick) &&
			     (held->source_port != reply.source_port || !wire_same(held->source, reply.source));

		if (taken || bpf_map_update_elem(&edge_opening, &key, &reply, BPF_ANY))
			return CF_EDGE_V_NO_PORT;
		if (held)
			bpf_map_delete_elem(&edge_nat, &key);
	} else if (!edge_take_port(settings, &key, &reply, edge_hash(p, settings->hash_seed + tick, false))) {
		return CF_EDGE_V_NO_PORT;
	}
	entry->source_port = key.dest_port;
	if (bpf_map_update_elem(&edge_opening, &p->flow, entry, BPF_ANY)) {
		bpf_map_delete_elem(&edge_opening, &key);
		return CF_EDGE_V_HELPER_FAILED;
	}
	edge_count(CF_EDGE_C_OPENED);
	return 0;
}

/* Whether this packet of the client's shows that it had the backend's answer. */
static __always_inline bool edge_shows_itself(const struct edge_packet *p, const struct cf_edge_nat *entry)
{
	if (!(entry->flags & CF_EDGE_ANSWERED) || p->kind == WIRE_LATER_FRAGMENT || p->kind == WIRE_ICMP_ERROR)
		return false;
	if (p->flow.protocol == IPPROTO_UDP)
		return true;
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK && p->ack == entry->ack;
}

/* From edge_opening to edge_nat.  False if the port has been taken away meanwhile. */
static __noinline bool edge_establish(const struct edge_packet *p, const struct cf_edge_nat *entry)
{
	struct cf_edge_flow key;
	struct cf_edge_nat *reply;

	edge_other_way(entry, p->flow.protocol, &key);
	reply = bpf_map_lookup_elem(&edge_opening, &key);
	if (!reply || !wire_same(reply->dest, p->flow.source) || reply->dest_port != p->flow.source_port ||
	    !wire_same(reply->source, p->flow.dest) || reply->source_port != p->flow.dest_port) {
		bpf_map_delete_elem(&edge_opening, &p->flow);
		return false;
	}
	if (bpf_map_update_elem(&edge_nat, &key, reply, BPF_ANY) ||
	    bpf_map_update_elem(&edge_nat, &p->flow, entry, BPF_ANY)) {
		edge_count(CF_EDGE_C_LOST); /* goes on in edge_opening */
		return true;
	}
	bpf_map_delete_elem(&edge_opening, &key);
	bpf_map_delete_elem(&edge_opening, &p->flow);
	edge_count(CF_EDGE_C_ESTABLISHED);
	return true;
}

static __always_inline void edge_touch(struct cf_edge_nat *entry, const struct edge_packet *p)
{
	if (entry->tick != p->tick)
		entry->tick = p->tick;
	if (p->kind == WIRE_ICMP_ERROR)
		return;
	if (p->tcp_flags & (TCP_FIN | TCP_RST))
		entry->flags |= p->tcp_flags & TCP_RST ? CF_EDGE_CLOSED | CF_EDGE_RESET : CF_EDGE_CLOSED;
	else if (entry->flags & (CF_EDGE_CLOSED | CF_EDGE_RESET))
		entry->flags &= p->tcp_flags & TCP_SYN ? ~(CF_EDGE_CLOSED | CF_EDGE_RESET) : ~CF_EDGE_RESET;
}

/* From edge_nat back to edge_opening, where it is closed for good: no client's word alone makes it that. */
static __noinline void edge_retire(const struct edge_packet *p, struct cf_edge_nat *entry)
{
	struct cf_edge_nat *other;
	struct cf_edge_flow key;

	edge_other_way(entry, p->flow.protocol, &key);
	other = bpf_map_lookup_elem(&edge_nat, &key);
	if (!other)
		return;
	if (!(entry->flags & other->flags & CF_EDGE_CLOSED) &&
	    (entry->flags & (CF_EDGE_REPLY | CF_EDGE_RESET)) != (CF_EDGE_REPLY | CF_EDGE_RESET))
		return;
	entry->flags &= ~CF_EDGE_ANSWERED;
	other->flags &= ~CF_EDGE_ANSWERED;
	if (bpf_map_update_elem(&edge_opening, &p->flow, entry, BPF_ANY) ||
	    bpf_map_update_elem(&edge_opening, &key, other, BPF_ANY)) {
		edge_count(CF_EDGE_C_LOST);
		return;
	}
	bpf_map_delete_elem(&edge_nat, &key);
	bpf_map_delete_elem(&edge_nat, &p->flow);
}

/* Whether the backend is still there that the entry was made for. */
static __always_inline bool edge_is_valid(const struct cf_edge_nat *entry)
{
	__u32 number = entry->backend;
	struct cf_edge_backend *backend = bpf_map_lookup_elem(&edge_backends, &number);

	return backend && backend->id == entry->id;
}

/* From the client: what the packet gets; NULL where the flow is not known. */
static __always_inline struct cf_edge_nat *edge_find_forward(const struct edge_packet *p)
{
	struct cf_edge_nat *entry = bpf_map_lookup_elem(&edge_nat, &p->flow);

	if (entry) {
		if (edge_is_valid(entry)) {
			edge_touch(entry, p);
			if ((p->tcp_flags & (TCP_FIN | TCP_RST)) && p->kind == WIRE_WHOLE)
				edge_retire(p, entry);
			return entry;
		}
		bpf_map_delete_elem(&edge_nat, &p->flow);
		return NULL;
	}
	entry = bpf_map_lookup_elem(&edge_opening, &p->flow);
	if (!entry || !edge_is_valid(entry))
		return NULL;
	edge_touch(entry, p);
	if (edge_shows_itself(p, entry) && !edge_establish(p, entry))
		return NULL;
	return entry;
}

/* A backend's answer to a flow that is opening: what its client has to acknowledge. */
static __noinline void edge_note_answer(const struct edge_packet *p, const struct cf_edge_nat *reply)
{
	struct cf_edge_nat *forward;
	struct cf_edge_flow key;

	if (p->flow.protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
		return;
	edge_other_way(reply, p->flow.protocol, &key);
	forward = bpf_map_lookup_elem(&edge_opening, &key);
	if (!forward || forward->source_port != p->flow.dest_port)
		return;
	forward->ack = p->sequence + 1;
	forward->flags |= CF_EDGE_ANSWERED;
}

/* The backend's side of a flow that it has closed: what it has of the client (lib/edge_port.h). */
static __noinline void edge_note_closed(struct xdp_md *ctx, const struct edge_packet *p, struct cf_edge_nat *reply)
{
	if (p->kind != WIRE_WHOLE || !(p->tcp_flags & TCP_ACK))
		return;
	reply->ack = p->ack;
	reply->timestamp = edge_timestamp(ctx, p, true);
}

/* From a backend: what the packet gets; NULL where the flow is not known.  `stands`: its client has shown itself. */
static __always_inline struct cf_edge_nat *edge_find_reply(const struct edge_packet *p, bool *stands)
{
	struct cf_edge_nat *entry = bpf_map_lookup_elem(&edge_nat, &p->flow);

	*stands = entry;
	if (!entry) {
		entry = bpf_map_lookup_elem(&edge_opening, &p->flow);
		if (entry && p->kind != WIRE_ICMP_ERROR && p->kind != WIRE_LATER_FRAGMENT)
			edge_note_answer(p, entry);
	}
	if (!entry || !(entry->flags & CF_EDGE_REPLY))
		return NULL;
	edge_touch(entry, p);
	return entry;
}

/* A client asks a backend on this node itself, past the frontend: answers to it are no flow's of before any more. */
static __noinline void edge_forget(const struct edge_packet *p)
{
	struct cf_edge_flow key, other;
	struct cf_edge_nat *held;

	if (p->kind != WIRE_WHOLE ||
	    (p->flow.protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN))
		return;
	__builtin_memcpy(key.source, p->flow.dest, sizeof(key.source));
	__builtin_memcpy(key.dest, p->flow.source, sizeof(key.dest));
	key.source_port = p->flow.dest_port;
	key.dest_port = p->flow.source_port;
	key.protocol = p->flow.protocol;
	key.pad[0] = key.pad[1] = key.pad[2] = 0;
	held = bpf_map_lookup_elem(&edge_opening, &key);
	if (held && ((held->flags & CF_EDGE_CLOSED) || edge_is_over(held, key.protocol, p->tick))) {
		edge_other_way(held, key.protocol, &other);
		bpf_map_delete_elem(&edge_opening, &other);
		bpf_map_delete_elem(&edge_opening, &key);
	}
	held = bpf_map_lookup_elem(&edge_nat, &key);
	if (held && edge_is_over(held, key.protocol, p->tick)) {
		edge_other_way(held, key.protocol, &other);
		bpf_map_delete_elem(&edge_nat, &other);
		bpf_map_delete_elem(&edge_nat, &key);
	}
}

#endif
