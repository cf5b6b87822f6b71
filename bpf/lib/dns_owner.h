/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Who sends on a socket: the maps that the DNS programs and the attribution programs share, and the one way to write
 * them. */
#ifndef CORTEXFLOW_LIB_DNS_OWNER_H
#define CORTEXFLOW_LIB_DNS_OWNER_H

#include "bpf/abi/dns.h"
#include "bpf/lib/bpf.h"

/*
 * Written by the agent (start, SIGHUP), read by every program: which ports are DNS.  One entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cf_dns_settings);
} dns_settings SEC(".maps");

/*
 * Socket (its kernel address) -> the process that last sent or connected to a DNS port.  Written by whichever
 * attribution hook is attached, read when a query leaves or is answered.  An address that is used again is written
 * again before its first packet.  Full: the longest unused entry goes, and that lookup has no process.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CF_DNS_OWNERS_MAX);
	__type(key, __u64);
	__type(value, struct cf_owner);
} dns_owners SEC(".maps");

static __always_inline bool is_dns_port(__u16 port_be)
{
	__u32 zero = 0;
	struct cf_dns_settings *settings = bpf_map_lookup_elem(&dns_settings, &zero);

	if (!settings || !port_be)
		return false;
	for (int i = 0; i < CF_DNS_PORTS_MAX; i++) {
		if (!settings->ports[i])
			return false;
		if (settings->ports[i] == port_be)
			return true;
	}
	return false;
}

/* Process context only: names the current process as the owner of the socket at kernel address `sock`. */
static __always_inline void set_owner(__u64 sock, __u32 source)
{
	struct cf_owner owner = {
		.tgid = bpf_get_current_pid_tgid() >> 32,
		.source = source,
	};
	struct cf_owner *known;

	/* The process's name; a thread may have one of its own. */
	struct task_struct *leader = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), group_leader);

	if (BPF_CORE_READ_STR_INTO(&owner.comm, leader, comm) < 0)
		bpf_get_current_comm(owner.comm, sizeof(owner.comm));
	known = bpf_map_lookup_elem(&dns_owners, &sock);
	if (known && known->tgid == owner.tgid) { /* mostly; a tenth of an update's cost */
		__builtin_memcpy(known->comm, owner.comm, sizeof(owner.comm));
		return;
	}
	bpf_map_update_elem(&dns_owners, &sock, &owner, BPF_ANY);
}

#endif
