// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The edge: packets to node ports, load balancer addresses and external addresses, before the stack has seen them.
 *
 * Deny list, then the backend (lib/edge_choice.h), then on: in a tunnel, the backend answering the client directly, or
 * translated (lib/edge_nat.h), its answers coming back through here.  What is not for a frontend and no answer goes to
 * the stack as it came.
 *
 *   Fragments: the first leaves its ports for the later ones, which follow it; those that come before it, or without,
 *   go to the stack.  A fragment is never put together here.
 *   IPv4 options and IPv6 extension headers stay in the packet; headers that can't be walked go to the stack.
 *   Hop limits: a packet loses one hop, inside the tunnel too.
 *   Size: what the way to the backend is too narrow for is answered, whether or not it may be fragmented: this is the
 *   last place that can tell the sender.
 *   Untagged Ethernet only.
 *   Backends on this node: lib/edge_out.h.
 */
#include "bpf/lib/edge_out.h"
#include "bpf/lib/edge_path.h"

SEC("xdp")
int edge(struct xdp_md *ctx)
{
	return edge_receive(ctx);
}

SEC("tcx/egress")
int edge_out(struct __sk_buff *skb)
{
	return edge_leave(skb);
}

char LICENSE[] SEC("license") = "GPL";
