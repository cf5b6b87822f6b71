/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* connect() of a workload that may not call whom it wants to.  Its SYN would be dropped all the same, but a program
 * would wait two minutes for an answer to it: here it is told at once, EPERM.  Whoever isn't known here has its SYN
 * judged. */
#ifndef CORTEXFLOW_LIB_POLICY_CONNECT_H
#define CORTEXFLOW_LIB_POLICY_CONNECT_H

#include "bpf/lib/policy_judge.h"

/* The calling task's, as policy_by_cgroup() has it of a packet. */
static __always_inline __u64 policy_by_task_cgroup(void)
{
	__u64 identity = policy_local_by(CF_POLICY_LOCAL_CGROUP, bpf_get_current_cgroup_id());

	for (int level = CF_POLICY_CGROUP_LEVELS; !identity && level > 0; level--) {
		__u64 above = bpf_get_current_ancestor_cgroup_id(level);

		if (above)
			identity = policy_local_by(CF_POLICY_LOCAL_CGROUP, above);
	}
	return identity;
}

static __always_inline __u64 policy_caller_of(struct bpf_sock_addr *ctx, struct policy_packet *p, __u32 flags, bool v4)
{
	__u64 netns = bpf_get_netns_cookie(ctx), identity = 0;
	const struct policy_home *home = bpf_map_lookup_elem(&policy_homes, &netns);

	if (home)
		__builtin_memcpy(p->local, home->address[v4 ? 0 : 1], sizeof(p->local));
	if (flags & CF_POLICY_HAS_NETNS)
		identity = policy_local_by(CF_POLICY_LOCAL_NETNS, netns);
	if (!identity && flags & CF_POLICY_HAS_CGROUPS)
		identity = policy_by_task_cgroup();
	return identity || !home ? identity : policy_local_by_address(p->local, flags);
}

/* `p` has the remote side.  Rules that deny are counted; those that allow are by the SYN.  True: it might be an address
 * of the caller's own, which is not known to be anybody else's. */
static __always_inline bool policy_judge_connect(struct cf_policy_judgment *made, struct bpf_sock_addr *ctx,
						 struct policy_packet *p, const struct cf_policy_settings *settings)
{
	bool v4 = !((const __u64 *)p->remote)[0] && ((const __u32 *)p->remote)[2] == bpf_htonl(0xffff);
	__u64 local = policy_settled(settings, policy_caller_of(ctx, p, settings->flags, v4)), remote;
	const struct cf_policy_target *target = local ? bpf_map_lookup_elem(&policy_targets, &local) : NULL;
	const struct cf_policy_side *side = target ? &target->side[CF_POLICY_OUT] : NULL;
	struct cf_policy_rule said;

	__builtin_memset(made, 0, sizeof(*made));
	made->generation = settings->generation;
	made->verdict = CF_POLICY_V_UNSELECTED;
	if (!side || !side->flags || policy_is_own(p) || policy_is_unspecified(p->remote))
		return true;
	remote = policy_settled(settings, policy_called(p, settings->flags));
	made->verdict = policy_decide(side, remote, p->remote_port, p, settings, &said);
	if (made->verdict >= CF_POLICY_V_DENIED)
		policy_hit_rules(made, &said, settings);
	return remote < CF_POLICY_ID_FIRST || remote == local;
}

#endif
