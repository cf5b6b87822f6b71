/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which port of ours a translated flow gets.  Ports are told apart by backend: two flows have the same one only where
 * their backends differ, by address, port or protocol.
 *
 * A backend that closed a connection remembers it for a minute, and takes another one from the same address and port
 * only if its SYN is younger (RFC 6191, RFC 1122 4.2.2.13): by the timestamps, or else by the sequence number.  So a
 * closed flow's port goes to a flow whose SYN the backend would take; after the backend's own RST, to any.
 */
#ifndef CORTEXFLOW_LIB_EDGE_PORT_H
#define CORTEXFLOW_LIB_EDGE_PORT_H

#include "bpf/lib/edge_choice.h"

/* The sender's clock in TCP's timestamps option, or its echo of the other's; 0: it has none, or not where Linux, the
 * BSDs and Apple's have it: behind two NOPs, or in a SYN behind MSS and the options that go with it.  A walk over all
 * options would cost the verifier too much. */
static __noinline __u32 edge_timestamp(struct xdp_md *ctx, const struct edge_packet *p, bool echo)
{
	__u32 at = p->l4 + sizeof(struct tcphdr);
	__u8 *octets = edge_at(ctx, at, 12);

	if (!octets)
		return 0;
	if (octets[0] == 2)
		at += octets[4] == 4 ? 6 : 10;
	else
		at += 2;
	octets = edge_at(ctx, at, 10);
	if (!octets || octets[0] != 8 || octets[1] != 10)
		return 0;
	octets += echo ? 6 : 2;
	return (__u32)octets[0] << 24 | octets[1] << 16 | octets[2] << 8 | octets[3];
}

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

/* Whether the backend takes the new flow's SYN where it had the closed one. */
static __always_inline bool edge_may_follow(const struct cf_edge_nat *closed, const struct cf_edge_nat *fresh)
{
	if (closed->flags & CF_EDGE_RESET)
		return true;
	if (!(fresh->flags & CF_EDGE_BEGUN))
		return false;
	if (closed->timestamp && fresh->timestamp && closed->timestamp != fresh->timestamp)
		return (__s32)(fresh->timestamp - closed->timestamp) > 0;
	return (__s32)(fresh->ack - closed->ack) > 0;
}

/* Puts the reply entry under a port of ours that may be had, and the port into the key. */
static __noinline bool edge_take_port(const struct cf_edge_settings *settings, struct cf_edge_flow *key,
				      const struct cf_edge_nat *reply, __u32 hash)
{
	__u32 first = settings->nat_port_min, range = settings->nat_port_max - first + 1, tick = reply->tick;
	__s32 oldest_age = -1;
	__u16 oldest = 0, closed = 0;
	struct cf_edge_nat *held;
	struct cf_edge_flow other;

	for (int i = 0; i < CF_EDGE_PORT_TRIES; i++) {
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
		if (!held)
			continue;
		if (held->flags & CF_EDGE_CLOSED) {
			if (edge_may_follow(held, reply) || edge_is_over(held, key->protocol, tick))
				closed = key->dest_port;
		} else if ((__s32)(tick - held->tick) > oldest_age) {
			oldest_age = tick - held->tick;
			oldest = key->dest_port;
		}
		if (closed && i >= CF_EDGE_FREE_TRIES)
			break;
	}
	key->dest_port = closed ?: oldest;
	if (!key->dest_port)
		return false;
	held = bpf_map_lookup_elem(&edge_opening, key);
	if (!held)
		return false;
	/* Else its client, should he begin anew, would come to the backend by a port that is another's. */
	edge_other_way(held, key->protocol, &other);
	if (bpf_map_delete_elem(&edge_opening, key)) /* another CPU was first */
		return false;
	held = bpf_map_lookup_elem(&edge_opening, &other);
	if (held && held->source_port == key->dest_port)
		bpf_map_delete_elem(&edge_opening, &other);
	edge_count(closed ? CF_EDGE_C_PORT_REUSED : CF_EDGE_C_PORT_TAKEN);
	return !bpf_map_update_elem(&edge_opening, key, reply, BPF_NOEXIST);
}

#endif
