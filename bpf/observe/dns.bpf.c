// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * DNS lookups of this machine's sockets, from the client's side: queries as they leave a socket, answers as they reach
 * it, matched here; one record a lookup goes to the agent.  On the root cgroup, so that every socket in every network
 * namespace is seen, before IP fragmentation and after reassembly, whatever interfaces there are.  Only looks.
 *
 * No per-CPU scratch memory: on its way out a packet is in process context, where a program can be preempted.
 */
#include "bpf/lib/dns_stream.h"
#include "bpf/lib/packet.h"

static __always_inline void on_udp(struct __sk_buff *skb, const struct packet *p, __u64 id, __u64 socket)
{
	__u32 at = p->l4 + sizeof(struct udphdr);
	__u32 size;

	if (at >= skb->len) {
		count(CF_DNS_C_PACKETS);
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	/* Several datagrams of one size, the last may be shorter, that a socket sends at once: UDP_SEGMENT, udp(7). */
	size = skb->gso_size ? skb->gso_size : skb->len - at;
	for (int i = 0; i < DATAGRAMS_MAX && at < skb->len; i++) {
		message_seen(skb, id, socket, at, size < skb->len - at ? size : skb->len - at);
		at += size;
	}
	if (at < skb->len)
		count(CF_DNS_C_ERR_MANY);
}

static __always_inline int look(struct __sk_buff *skb, bool egress)
{
	__u32 ethertype = skb->protocol;
	const __be16 *ports = packet_plain_ports(skb, ethertype);
	struct packet p = {};
	enum packet_result result;
	__u64 id, socket;

	if (ports && !is_dns_port(ports[egress]))
		return CF_PASS; /* nearly all there is */
	result = packet_parse(skb, ethertype, &p);
	if (result != PACKET_OK) {
		if (result == PACKET_BAD)
			count(CF_DNS_C_ERR_IPHEADER);
		else if (result == PACKET_FRAGMENT)
			count(CF_DNS_C_ERR_FRAGMENT);
		return CF_PASS;
	}
	if (!is_dns_port(egress ? p.dest_be : p.source_be))
		return CF_PASS;
	id = bpf_get_socket_cookie(skb) << 1 | !egress;
	socket = pack_socket(bpf_ntohs(egress ? p.source_be : p.dest_be), bpf_ntohs(egress ? p.dest_be : p.source_be),
			     p.protocol == IPPROTO_UDP ? CF_TRANSPORT_UDP : CF_TRANSPORT_TCP, p.is_v6);
	if (p.protocol == IPPROTO_UDP)
		on_udp(skb, &p, id, socket);
	else
		on_tcp(skb, &p, id, socket);
	return CF_PASS;
}

SEC("cgroup_skb/egress")
int dns_egress(struct __sk_buff *skb)
{
	return look(skb, true);
}

SEC("cgroup_skb/ingress")
int dns_ingress(struct __sk_buff *skb)
{
	return look(skb, false);
}

char LICENSE[] SEC("license") = "GPL";
