/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From boot until an agent has its policies: whoever might be somebody's workload is cut off, the machine itself never.
 */
#ifndef CORTEXFLOW_LIB_POLICY_BOOT_H
#define CORTEXFLOW_LIB_POLICY_BOOT_H

#include "bpf/lib/policy_identity.h"

static __always_inline bool policy_is_closed(void *sk, const struct cf_policy_settings *settings)
{
	const struct cf_policy_boot *boot;
	struct net *net;
	__u32 zero = 0, netns;

	if (!(settings->flags & CF_POLICY_BOOT))
		return false;
	boot = bpf_map_lookup_elem(&policy_boot, &zero);
	net = policy_net(sk);
	if (!boot || !net)
		return false;
	netns = BPF_CORE_READ(net, ns.inum);
	return netns && netns != boot->host_netns;
}

#endif
