/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The ports of datagrams in parts, which the parts after the first have not. */
#ifndef CORTEXFLOW_LIB_REDIRECT_PARTS_H
#define CORTEXFLOW_LIB_REDIRECT_PARTS_H

#include "bpf/lib/frame.h"
#include "bpf/lib/redirect_maps.h"

static __always_inline void redirect_part_key(const struct frame *p, struct cf_redirect_fragment_key *key)
{
	wire_set_v6(key->source, p->flow.source);
	wire_set_v6(key->dest, p->flow.dest);
	key->id = p->part;
	key->ifindex = p->flow.ifindex;
	key->protocol = p->flow.protocol;
	key->direction = p->flow.direction;
	key->pad = 0;
}

static __noinline int frame_recall_part(struct frame *p)
{
	struct cf_redirect_fragment_key key;
	struct cf_redirect_ports *ports;

	redirect_part_key(p, &key);
	ports = bpf_map_lookup_elem(&redirect_parts, &key);
	if (!ports)
		return WIRE_UNKNOWN_FRAGMENT;
	p->flow.source_port = ports->source_port;
	p->flow.dest_port = ports->dest_port;
	return WIRE_PARSED;
}

static __noinline void redirect_remember_part(const struct frame *p)
{
	struct cf_redirect_ports ports = {.source_port = p->flow.source_port, .dest_port = p->flow.dest_port};
	struct cf_redirect_fragment_key key;

	redirect_part_key(p, &key);
	if (bpf_map_update_elem(&redirect_parts, &key, &ports, BPF_ANY))
		svc_count(CF_SVC_C_HELPER_FAILED);
}

#endif
