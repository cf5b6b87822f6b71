/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From a packet to a verdict: six lookups, however many rules there are. */
#ifndef CORTEXFLOW_LIB_POLICY_JUDGE_H
#define CORTEXFLOW_LIB_POLICY_JUDGE_H

#include "bpf/lib/policy_identity.h"

/* What was said first stays.  Without branches: the verifier would follow each way through all of them. */
static __always_inline void policy_add(struct cf_policy_rule *said, const struct cf_policy_rule *more)
{
	__u32 fresh;

	if (!more)
		return;
	fresh = more->says & ~said->says;
	for (int say = 0; say < CF_POLICY_SAYS; say++) {
		__u32 mask = -(fresh >> say & 1);

		barrier_var(mask);
		said->rule[say] |= more->rule[say] & mask;
	}
	said->says |= more->says;
}

/* With zeros that the verifier doesn't know to be some: then what no rule was found for is no state of its own. */
static __always_inline void policy_nothing_said(struct cf_policy_rule *said, const struct cf_policy_settings *settings)
{
	__u32 nothing = settings->zero;

	said->says = nothing;
	for (int say = 0; say < CF_POLICY_SAYS; say++)
		said->rule[say] = nothing;
}

static __always_inline void policy_look_up(struct cf_policy_rule *said, __u32 table, __u64 peer, __u16 port,
					   const struct policy_packet *p)
{
	struct cf_policy_rule_key key = {.peer = peer, .table = table, .port = port, .protocol = p->protocol};
	struct cf_policy_block_key block = {
		.prefix_length = 192, .table = table, .port = port, .protocol = p->protocol};

	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	key.port = 0;
	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	key.peer = CF_POLICY_ID_ANY;
	key.port = port;
	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	key.port = 0;
	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	__builtin_memcpy(block.address, p->remote, sizeof(block.address));
	policy_add(said, bpf_map_lookup_elem(&policy_blocks, &block));
	block.port = 0;
	policy_add(said, bpf_map_lookup_elem(&policy_blocks, &block));
}

/* Which rules decided, counted.  The verifier knows nothing of them: no state of its own for each. */
static __always_inline void policy_hit_rules(struct cf_policy_judgment *made, const struct cf_policy_rule *said,
					     const struct cf_policy_settings *settings)
{
	__u32 rule = settings->zero, network_rule = settings->zero;

	if (said->says & 1U << CF_POLICY_SAY_AUDIT) {
		policy_count(CF_POLICY_C_AUDITED);
		policy_hit(said->rule[CF_POLICY_SAY_AUDIT]);
	}
	if (made->verdict == CF_POLICY_V_DENIED) {
		rule += said->rule[CF_POLICY_SAY_DENY];
	} else if (made->verdict == CF_POLICY_V_ALLOWED) {
		rule += said->rule[CF_POLICY_SAY_ALLOW];
		network_rule += said->rule[CF_POLICY_SAY_NETWORK_ALLOW];
	} else if (made->verdict == CF_POLICY_V_WOULD_DENY) {
		rule += said->rule[CF_POLICY_SAY_DRY_DENY];
	}
	policy_hit(rule);
	policy_hit(network_rule);
	made->rule = rule;
	made->network_rule = network_rule;
}

/* Of a side that policies say something about. */
static __always_inline enum cf_policy_verdict policy_decide(const struct cf_policy_side *side, __u64 remote, __u16 port,
							    const struct policy_packet *p,
							    const struct cf_policy_settings *settings,
							    struct cf_policy_rule *said)
{
	policy_nothing_said(said, settings);
	policy_look_up(said, side->table, remote, port, p);
	return policy_settled(settings, cf_policy_decide(side->flags, remote, settings->unknown, said->says));
}

/* `out`: may the socket's workload call its peer?  Else: may the peer call it?  False: policies say nothing about the
 * workload, in either direction. */
static __always_inline bool policy_judge(struct cf_policy_judgment *made, struct __sk_buff *skb, void *sk,
					 const struct policy_packet *p, const struct cf_policy_settings *settings,
					 bool out)
{
	const struct cf_policy_target *target;
	const struct cf_policy_side *side;
	struct cf_policy_rule said;
	__u64 local, remote, shared;

	__builtin_memset(made, 0, sizeof(*made));
	made->generation = settings->generation;
	made->verdict = CF_POLICY_V_UNSELECTED;
	local = policy_local(skb, sk, p, settings, &shared);
	target = local ? bpf_map_lookup_elem(&policy_targets, &local) : NULL;
	if (!target)
		return false;
	side = out ? &target->side[CF_POLICY_OUT] : &target->side[CF_POLICY_IN];
	if (!side->flags)
		return true;
	made->verdict = CF_POLICY_V_OWN;
	if (!shared && policy_is_own(p))
		return true;
	remote = policy_settled(settings, policy_remote(sk, p, settings->flags, out));
	made->verdict = policy_decide(side, remote, out ? p->remote_port : p->local_port, p, settings, &said);
	policy_hit_rules(made, &said, settings);
	return true;
}

#endif
