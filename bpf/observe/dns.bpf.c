// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * DNS lookups of this machine's sockets, from the client's side: queries as they leave a socket, answers as they reach
 * it, matched here; one record a lookup goes to the agent.  On the root cgroup, so that every socket in every network
 * namespace is seen, before IP fragmentation and after reassembly, whatever interfaces there are.  Only looks.
 *
 * No per-CPU scratch memory: on its way out a packet is in process context, where a program can be preempted.
 */
#include "bpf/lib/dns_match.h"
#include "bpf/lib/dns_stream.h"
#include "bpf/lib/packet.h"

/* Several datagrams of one size, the last may be shorter, that a socket sends at once (UDP_SEGMENT, udp(7)). */
static __always_inline void on_datagrams(struct __sk_buff *skb, const struct cf_dns_key *key, __u32 at, __u32 size,
					 bool to_server)
{
	__u64 id = key->cookie << 1 | !to_server;

	if (!start_stream(id, key, 0)) /* where whole_message() finds the key */
		return;
	for (int i = 0; i < DATAGRAMS_MAX && at < skb->len; i++) {
		whole_message(skb, id, at, size < skb->len - at ? size : skb->len - at);
		at += size;
	}
	if (at < skb->len)
		count(CF_DNS_C_ERR_MANY);
	bpf_map_delete_elem(&dns_streams, &id);
}

static __always_inline void on_udp(struct __sk_buff *skb, const struct packet *p, struct cf_dns_key *key,
				   bool to_server)
{
	struct dns_message m = {.skb = skb, .offset = p->l4 + sizeof(struct udphdr)};

	if (m.offset >= skb->len) {
		count(CF_DNS_C_PACKETS);
		count(CF_DNS_C_ERR_SHORT);
		return;
	}
	m.size = m.readable = skb->len - m.offset;
	if (skb->gso_size && m.size > skb->gso_size)
		on_datagrams(skb, key, m.offset, skb->gso_size, to_server);
	else
		on_message(&m, key, to_server);
}

static __always_inline int look(struct __sk_buff *skb, bool egress)
{
	__u32 ethertype = skb->protocol;
	const __be16 *ports = packet_plain_ports(skb, ethertype);
	struct cf_dns_key key = {};
	struct packet p = {};
	enum packet_result result;

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
	key.cookie = bpf_get_socket_cookie(skb);
	key.transport = p.protocol == IPPROTO_UDP ? CF_TRANSPORT_UDP : CF_TRANSPORT_TCP;
	key.client_port = bpf_ntohs(egress ? p.source_be : p.dest_be);
	key.server_port = bpf_ntohs(egress ? p.dest_be : p.source_be);
	if (packet_addresses(skb, &p, egress ? key.client : key.server, egress ? key.server : key.client)) {
		count(CF_DNS_C_ERR_IPHEADER);
		return CF_PASS;
	}
	if (p.protocol == IPPROTO_UDP)
		on_udp(skb, &p, &key, egress);
	else
		on_tcp(skb, &p, &key, egress);
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
