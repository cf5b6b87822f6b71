/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Translation both ways.  A flow has two entries, one under what its packets look like from the client, one under what
 * they look like from the backend; each says what its packets get.
 *
 * A flow begins in edge_opening, with a port of ours that no other flow to that backend has.  It moves to edge_nat when
 * its client has shown that it is where it says: TCP, by acknowledging the number that the backend chose, which nobody
 * knows who has not had the backend's SYN-ACK; UDP, by sending again after an answer.  So a flood of SYNs from made-up
 * addresses fills edge_opening, pushes out other half-open flows (the least lately used first) and nothing else; ports
 * are taken from half-open flows when there are no free ones, never from one in edge_nat that is alive.
 */
#ifndef CORTEXFLOW_LIB_EDGE_NAT_H
#define CORTEXFLOW_LIB_EDGE_NAT_H

#include "bpf/lib/edge_choice.h"

/* The key under which the other direction's packets are found. */
static __always_inline void edge_other_way(const struct cf_edge_nat *entry, __u8 protocol, struct cf_edge_flow *key)
{
	__builtin_memcpy(key->source, entry->dest, sizeof(key->source));
	__builtin_memcpy(key->dest, entry->source, sizeof(key->dest));
	key->source_port = entry->dest_port;
	key->dest_port = entry->source_port;
	key->protocol = protocol;
	key->pad[0] = key->pad[1] = key->pad[2] = 0;
}

/* Whether a port may be taken from this flow, by its reply entry. */
static __always_inline bool edge_is_over(const struct cf_edge_nat *reply, __u8 protocol, __u32 tick)
{
	__s32 idle = tick - reply->tick; /* below 0: another CPU's clock has just ticked */

	if (reply->flags & CF_EDGE_CLOSED)
		return idle > (__s32)CF_EDGE_CLOSED_TICKS;
	return idle > (__s32)(protocol == IPPROTO_TCP ? CF_EDGE_TCP_TICKS : CF_EDGE_UDP_TICKS);
}

/* Puts the reply entry under a port of ours that is free, and the port into the key. */
static __noinline bool edge_take_port(const struct cf_edge_settings *settings, struct cf_edge_flow *key,
				      const struct cf_edge_nat *reply, __u32 hash)
{
	__u32 first = settings->nat_port_min, range = settings->nat_port_max - first + 1, tick = reply->tick;
	__s32 oldest_age = -1;
	__u16 oldest = 0;

	for (int i = 0; i < CF_EDGE_PORT_TRIES; i++) {
		struct cf_edge_nat *held;
		struct cf_edge_flow other;

		key->dest_port = first + (__u32)((__u64)hash * range >> 32);
		hash = hash * 0x9e3779b1U + 0x7f4a7c15U;
		held = bpf_map_lookup_elem(&edge_nat, key);
		if (held) {
			if (!edge_is_over(held, key->protocol, tick))
				continue;
			edge_other_way(held, key->protocol, &other);
			bpf_map_delete_elem(&edge_nat, &other);
			bpf_map_delete_elem(&edge_nat, key);
		}
		if (!bpf_map_update_elem(&edge_opening, key, reply, BPF_NOEXIST))
			return true;
		held = bpf_map_lookup_elem(&edge_opening, key);
		if (held && (__s32)(tick - held->tick) > oldest_age) {
			oldest_age = tick - held->tick;
			oldest = key->dest_port;
		}
	}
	if (!oldest)
		return false;
	key->dest_port = oldest;
	if (bpf_map_delete_elem(&edge_opening, key)) /* another CPU was first */
		return false;
	edge_count(CF_EDGE_C_PORT_TAKEN);
	return !bpf_map_update_elem(&edge_opening, key, reply, BPF_NOEXIST);
}

/* A new flow to that backend: `entry` is what its packets get.  0, or the verdict that it ends with. */
static __noinline __u32 edge_open(const struct edge_packet *p, const struct cf_edge_settings *settings, __u32 number,
				  struct cf_edge_nat *entry)
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
	__builtin_memcpy(reply.source, p->flow.dest, sizeof(reply.source));
	__builtin_memcpy(reply.dest, p->flow.source, sizeof(reply.dest));
	reply.source_port = p->flow.dest_port;
	reply.dest_port = p->flow.source_port;
	edge_other_way(entry, p->flow.protocol, &key);
	if (backend->flags & CF_EDGE_LOCAL) {
		/* The client's own address and port: taken only if it talks to this backend through another frontend.
		 */
		struct cf_edge_nat *held = bpf_map_lookup_elem(&edge_nat, &key);

		if ((held && !edge_is_over(held, key.protocol, tick)) ||
		    bpf_map_update_elem(&edge_opening, &key, &reply, BPF_ANY))
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
	if (!(entry->flags & CF_EDGE_ANSWERED) || p->kind == EDGE_LATER_FRAGMENT || p->kind == EDGE_ICMP_ERROR)
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
	if (!reply || !edge_same(reply->dest, p->flow.source) || reply->dest_port != p->flow.source_port ||
	    !edge_same(reply->source, p->flow.dest) || reply->source_port != p->flow.dest_port) {
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
	if (p->tcp_flags & (TCP_FIN | TCP_RST)) {
		if (p->kind != EDGE_ICMP_ERROR)
			entry->flags |= CF_EDGE_CLOSED;
	} else if ((p->tcp_flags & TCP_SYN) && (entry->flags & CF_EDGE_CLOSED)) {
		entry->flags &= ~CF_EDGE_CLOSED;
	}
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

/* From a backend: what the packet gets; NULL where the flow is not known. */
static __always_inline struct cf_edge_nat *edge_find_reply(const struct edge_packet *p)
{
	struct cf_edge_nat *entry = bpf_map_lookup_elem(&edge_nat, &p->flow);

	if (!entry) {
		entry = bpf_map_lookup_elem(&edge_opening, &p->flow);
		if (entry && p->kind != EDGE_ICMP_ERROR && p->kind != EDGE_LATER_FRAGMENT)
			edge_note_answer(p, entry);
	}
	if (!entry || !(entry->flags & CF_EDGE_REPLY))
		return NULL;
	edge_touch(entry, p);
	return entry;
}

#endif
