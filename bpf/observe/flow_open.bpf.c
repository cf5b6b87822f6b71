// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The TCP connections that observe/flow follows and that have not ended, in every network namespace.  Runs when the
 * agent reads it, over the sockets' storage; costs connections and packets nothing.
 */
#include "bpf/lib/flow_record.h"

const volatile bool other_storage = true; /* may an iterator look into it?  From Linux 5.11 on */

SEC("iter/bpf_sk_storage_map")
int flow_open(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct flow_socket *flow = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tcp;
	struct cf_flow record;

	if (!sk || !flow || !flow->direction)
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 0;
	flow_fill(&record, flow, tcp);
	if (other_storage)
		flow_policy(&record, bpf_sk_storage_get(&policy_sockets, sk, 0, 0));
	record.outcome = flow->established_ns ? CF_FLOW_OPEN : CF_FLOW_CONNECTING;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record)); /* a full buffer: called again with the next one */
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
