/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which backend a flow goes to, and what keeps it there.
 *
 * A flow's slot in the Maglev table follows from its addresses and ports, so as long as the slot has not moved since
 * the flow began, the table alone gives the same backend for every packet: nothing is looked up, nothing is stored, and
 * a flood has nothing to fill.  Only in slots that have moved is there more to know (struct cf_edge_slot):
 *
 *   A TCP flow that began before the move is on `before`, one that began since is on `now`.  A SYN says which: it goes
 * to `now`, and the flow becomes a candidate for a pin.  What comes without a candidate or a pin began before. Flows
 * that are seen again become pins: at once those that were seen to begin, the others after a second.  When the move is
 * over (the agent says so, by making `before` equal to `now`), pins are what is left of it. A UDP flow has no
 * beginning: unless pinned, it stays on `before` while that takes new flows.
 *
 * Strangers can make candidates only, and only of the few flows that hash to moved slots (1 or 2 in 100 after a change
 * of one backend in 100).  Candidates and pins are tables apart: pushing out a candidate costs a handshake that is
 * under way in a moved slot, never a connection that stands.  To make pins one has to come back with the same flow, and
 * in LRU order those that are in use are the last to go.
 */
#ifndef CORTEXFLOW_LIB_EDGE_CHOICE_H
#define CORTEXFLOW_LIB_EDGE_CHOICE_H

#include "bpf/lib/edge_packet.h"

/* MurmurHash3's 64-bit finalizer. */
static __always_inline __u64 edge_mix(__u64 x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static __always_inline __u32 edge_hash(const struct edge_packet *p, __u64 seed, bool by_client)
{
	const __u32 *source = (const __u32 *)p->flow.source;
	__u64 hash = seed;

	if (p->is_v6)
		hash = edge_mix(hash ^ ((__u64)source[0] << 32 | source[1]));
	hash ^= (__u64)source[2] << 32 ^ source[3];
	if (!by_client)
		hash = edge_mix(hash) ^ ((__u32)p->flow.source_port << 16 | p->flow.dest_port);
	return edge_mix(hash) >> 32;
}

/* The backend if it is (still) that one. */
static __always_inline struct cf_edge_backend *edge_backend(__u32 number, __u32 service)
{
	struct cf_edge_backend *backend = bpf_map_lookup_elem(&edge_backends, &number);

	return backend && backend->id && backend->service == service ? backend : NULL;
}

static __noinline void edge_make_candidate(const struct edge_packet *p, __u32 number, __u32 id, __u8 began)
{
	struct cf_edge_pin pin = {.id = id, .tick = p->tick, .backend = number, .began = began};

	edge_count(bpf_map_update_elem(&edge_candidates, &p->flow, &pin, BPF_ANY) ? CF_EDGE_C_LOST
										  : CF_EDGE_C_CANDIDATE);
}

/* In a slot that has moved: a pinned flow's backend, or by what is known of the move. */
static __noinline __u32 edge_choose_moved(const struct edge_packet *p, __u32 service, __u32 slot)
{
	__u32 now = slot & 0xffff, before = slot >> 16, number;
	bool begins = (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	struct cf_edge_pin *pin = begins ? NULL : bpf_map_lookup_elem(&edge_pins, &p->flow);
	struct cf_edge_backend *backend;

	if (pin) {
		number = pin->backend;
		backend = edge_backend(number, service);
		if (backend && backend->id == pin->id) {
			edge_count(CF_EDGE_C_FROM_PIN);
			return number;
		}
	}
	if (before == now)
		return now;
	backend = edge_backend(before, service);
	if (!backend)
		return now;
	if (begins) {
		backend = edge_backend(now, service);
		if (backend)
			edge_make_candidate(p, now, backend->id, 1);
		return now;
	}
	pin = bpf_map_lookup_elem(&edge_candidates, &p->flow);
	if (!pin) {
		if (p->flow.protocol == IPPROTO_UDP && (backend->flags & CF_EDGE_DRAINING))
			return now;
		if (p->kind == WIRE_WHOLE)
			edge_make_candidate(p, before, backend->id, 0);
		return before;
	}
	number = pin->backend;
	backend = edge_backend(number, service);
	if (!backend || backend->id != pin->id)
		return now;
	if (p->kind == WIRE_WHOLE && (pin->began || (__s32)(p->tick - pin->tick) > (__s32)CF_EDGE_PIN_TICKS)) {
		edge_count(bpf_map_update_elem(&edge_pins, &p->flow, pin, BPF_ANY) ? CF_EDGE_C_LOST : CF_EDGE_C_PINNED);
		bpf_map_delete_elem(&edge_candidates, &p->flow);
	}
	return number;
}

/* The number of the backend, 0 if there is none. */
static __always_inline __u32 edge_choose(const struct edge_packet *p, const struct cf_edge_frontend *frontend,
					 __u64 seed)
{
	__u32 zero = 0, number = frontend->table, index;
	void *inner = bpf_map_lookup_elem(&edge_tables, &number);
	struct cf_edge_table *table;

	if (!inner)
		return 0;
	table = bpf_map_lookup_elem(inner, &zero);
	if (!table)
		return 0;
	index = (__u64)edge_hash(p, seed, frontend->flags & CF_EDGE_BY_CLIENT) * CF_EDGE_TABLE_SLOTS >> 32;
	barrier_var(index); /* the check is the verifier's */
	if (index >= CF_EDGE_TABLE_SLOTS)
		return 0;
	number = *(volatile __u32 *)&table->slots[index];
	if (number >> 16)
		return edge_choose_moved(p, frontend->service, number);
	return number;
}

#endif
