/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* From a packet to a verdict: six lookups, however many rules there are. */
#ifndef CORTEXFLOW_LIB_POLICY_JUDGE_H
#define CORTEXFLOW_LIB_POLICY_JUDGE_H

#include "bpf/lib/policy_identity.h"

/* What was said first stays. */
static __always_inline void policy_add(struct cf_policy_rule *said, const struct cf_policy_rule *more)
{
	if (!more)
		return;
	for (int say = 0; say < CF_POLICY_SAYS; say++) {
		if (more->says & ~said->says & 1U << say)
			said->rule[say] = more->rule[say];
	}
	said->says |= more->says;
}

static __always_inline void policy_look_up(struct cf_policy_rule *said, __u32 table, __u64 source,
					   const struct policy_packet *p)
{
	struct cf_policy_rule_key key = {
		.source = source, .table = table, .port = p->local_port, .protocol = p->protocol};
	struct cf_policy_block_key block = {
		.prefix_length = 192, .table = table, .port = p->local_port, .protocol = p->protocol};

	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	key.port = 0;
	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	key.source = CF_POLICY_ID_ANY;
	key.port = p->local_port;
	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	key.port = 0;
	policy_add(said, bpf_map_lookup_elem(&policy_rules, &key));
	__builtin_memcpy(block.address, p->remote, sizeof(block.address));
	policy_add(said, bpf_map_lookup_elem(&policy_blocks, &block));
	block.port = 0;
	policy_add(said, bpf_map_lookup_elem(&policy_blocks, &block));
}

static __always_inline enum cf_policy_verdict
policy_judge(struct __sk_buff *skb, void *sk, const struct policy_packet *p, const struct cf_policy_settings *settings)
{
	bool shared;
	__u64 local = policy_local(skb, sk, p, settings->flags, &shared), remote;
	struct cf_policy_target *target = local ? bpf_map_lookup_elem(&policy_targets, &local) : NULL;
	struct cf_policy_rule said = {};
	enum cf_policy_verdict verdict;

	if (!target)
		return CF_POLICY_V_UNSELECTED;
	if (!shared && policy_is_own(p))
		return CF_POLICY_V_OWN;
	remote = policy_remote(sk, p, settings->flags);
	policy_look_up(&said, target->table, remote, p);
	verdict = cf_policy_decide(target->flags, remote, settings->unknown, said.says);
	if (said.says & 1U << CF_POLICY_SAY_AUDIT) {
		policy_count(CF_POLICY_C_AUDITED);
		policy_hit(said.rule[CF_POLICY_SAY_AUDIT]);
	}
	if (verdict == CF_POLICY_V_DENIED)
		policy_hit(said.rule[CF_POLICY_SAY_DENY]);
	else if (verdict == CF_POLICY_V_ALLOWED)
		policy_hit(said.rule[CF_POLICY_SAY_ALLOW]);
	else if (verdict == CF_POLICY_V_WOULD_DENY)
		policy_hit(said.rule[CF_POLICY_SAY_DRY_DENY]);
	return verdict;
}

#endif
