/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Telling the agent of what was refused, or would be. */
#ifndef CORTEXFLOW_LIB_POLICY_EVENTS_H
#define CORTEXFLOW_LIB_POLICY_EVENTS_H

#include "bpf/lib/policy_identity.h"

enum {
	POLICY_TELL_EVERY_NS = 1000000000,
	POLICY_WAKE_BYTES = CF_POLICY_RING_BYTES / 4,
};

/* Who it was, as far as it is known where the packet is. */
struct policy_teller {
	__u64 cgroup_id;
	bool task_connects; /* the current task is who calls */
	bool established;
	bool out;
};

/* How many this event stands for; 0: it waits for the next one. */
static __always_inline __u64 policy_packets(const struct policy_packet *p, __u32 verdict,
					    const struct policy_teller *who, __u64 now)
{
	struct policy_told_key key = {};
	struct policy_told *told, fresh = {.time_ns = now};
	__u64 packets;

	__builtin_memcpy(key.local, p->local, sizeof(key.local));
	__builtin_memcpy(key.remote, p->remote, sizeof(key.remote));
	key.port = who->out ? p->remote_port : p->local_port;
	key.protocol = p->protocol;
	key.direction = who->out ? CF_POLICY_OUT : CF_POLICY_IN;
	key.verdict = verdict;
	key.established = who->established;
	key.connects = who->task_connects;
	told = bpf_map_lookup_elem(&policy_told, &key);
	if (!told) {
		bpf_map_update_elem(&policy_told, &key, &fresh, BPF_ANY); /* no room: told again with the next one */
		return 1;
	}
	if (now - told->time_ns < POLICY_TELL_EVERY_NS) {
		__sync_fetch_and_add(&told->held_back, 1);
		policy_count(CF_POLICY_C_HELD_BACK);
		return 0;
	}
	told->time_ns = now;
	packets = told->held_back;
	__sync_fetch_and_add(&told->held_back, -packets);
	return packets + 1;
}

static __always_inline void policy_event_task(struct cf_policy_event *event)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	event->tgid = BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_STR_INTO(&event->comm, task, group_leader, comm);
}

/* A function of its own, or its many callers would each have a copy for the verifier to walk. */
static __noinline int policy_tell(const struct policy_packet *p, const struct cf_policy_judgment *made,
				  const struct policy_teller *who)
{
	__u64 now = bpf_ktime_get_ns(), packets = policy_packets(p, made->verdict, who, now), wake;
	struct cf_policy_event *event;

	if (!packets)
		return 0;
	event = bpf_ringbuf_reserve(&policy_events, sizeof(*event), 0);
	if (!event) {
		policy_count(CF_POLICY_C_LOST);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->head.type = CF_EVENT_POLICY;
	event->head.version = CF_POLICY_EVENT_VERSION;
	event->head.len = sizeof(*event);
	event->time_ns = now;
	event->cgroup_id = who->cgroup_id;
	event->packets = packets;
	event->judgment = *made;
	__builtin_memcpy(event->local, p->local, sizeof(event->local));
	__builtin_memcpy(event->remote, p->remote, sizeof(event->remote));
	event->local_port = p->local_port;
	event->remote_port = p->remote_port;
	event->protocol = p->protocol;
	event->direction = who->out ? CF_POLICY_OUT : CF_POLICY_IN;
	event->established = who->established;
	if (who->task_connects)
		policy_event_task(event);
	policy_count(CF_POLICY_C_TOLD);
	wake = bpf_ringbuf_query(&policy_events, BPF_RB_AVAIL_DATA) >= POLICY_WAKE_BYTES ? BPF_RB_FORCE_WAKEUP
											 : BPF_RB_NO_WAKEUP;
	bpf_ringbuf_submit(event, wake);
	return 0;
}

#endif
