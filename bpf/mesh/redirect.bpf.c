// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Services for callers whose sockets no cgroup hook sees: virtual machines, sandboxed runtimes, whatever sits behind an
 * interface.  On the host's side of the interface, at TC: what comes from the workload to a service's address goes to a
 * backend, what comes back seems to come from the service.  Chosen from the same tables, in the same way, as at connect
 * time; what was translated there has a backend's address by now and passes.
 */
#include "bpf/lib/redirect_answer.h"
#include "bpf/lib/redirect_flow.h"

enum { TICK_SHIFT = 30 };

static __always_inline int finish(__u32 verdict, int act)
{
	redirect_count(verdict);
	return act;
}

/* What can't be read is no business of ours: it passes. */
static __always_inline int pass(enum wire_parsed parsed)
{
	if (parsed == WIRE_BAD)
		return finish(CF_REDIRECT_V_MALFORMED, ACT_PASS);
	return finish(parsed == WIRE_OTHER ? CF_REDIRECT_V_OTHER : CF_REDIRECT_V_FRAGMENT_UNKNOWN, ACT_PASS);
}

static __always_inline int refuse(struct __sk_buff *skb, const struct frame *p, __u32 verdict)
{
	if (verdict == CF_REDIRECT_V_NOT_SERVICE) /* it went meanwhile */
		return finish(verdict, ACT_PASS);
	redirect_count(verdict);
	return p->flow.protocol == IPPROTO_TCP ? redirect_reset(skb, p) : ACT_DROP;
}

/* The packet gets what the entry says; `verdict` is of those that are whole. */
static __always_inline int translate(struct __sk_buff *skb, const struct frame *p,
				     const struct cf_redirect_entry *entry, __u32 verdict)
{
	bool hairpin = entry->flags & CF_REDIRECT_HAIRPIN, done;

	if (p->kind == WIRE_FIRST_FRAGMENT)
		redirect_remember_part(p);
	done = p->kind == WIRE_ICMP_ERROR ? frame_rewrite_error(skb, p, (const struct frame_ends *)entry)
					  : frame_rewrite(skb, p, (const struct frame_ends *)entry);
	if (!done)
		return finish(CF_REDIRECT_V_DROPPED, ACT_DROP);
	if (hairpin)
		return finish(CF_REDIRECT_V_HAIRPIN, redirect_send_back(skb));
	if (p->kind == WIRE_ICMP_ERROR)
		verdict = CF_REDIRECT_V_ICMP;
	else if (p->kind == WIRE_LATER_FRAGMENT)
		verdict = CF_REDIRECT_V_FRAGMENT;
	return finish(verdict, ACT_PASS);
}

/* However it was read: what comes after is verified once. */
static __always_inline void forget(struct __sk_buff *skb, struct frame *p)
{
	p->kind = FORGOTTEN(p->kind, skb->ifindex);
	p->is_v6 = FORGOTTEN(p->is_v6, skb->ifindex);
	p->tcp_flags = FORGOTTEN(p->tcp_flags, skb->ifindex);
	p->flow.protocol = FORGOTTEN(p->flow.protocol, skb->ifindex);
	p->flow.direction = FORGOTTEN(p->flow.direction, skb->ifindex);
}

SEC("tcx/ingress")
int redirect_from_workload(struct __sk_buff *skb)
{
	struct frame p = {.tick = bpf_ktime_get_ns() >> TICK_SHIFT};
	enum wire_parsed parsed = frame_parse(skb, &p, CF_REDIRECT_FROM_WORKLOAD);
	struct cf_svc_address to = {};
	struct cf_svc_frontend *frontend;
	struct cf_redirect_entry *known;
	struct cf_redirect_entry entry;
	__u32 verdict;

	if (parsed != WIRE_PARSED)
		return pass(parsed);
	forget(skb, &p);
	known = bpf_map_lookup_elem(&redirect_flows, &p.flow);
	if (known && redirect_goes_on(&p, known)) {
		redirect_touch(&p, known);
		return translate(skb, &p, known, CF_REDIRECT_V_FORWARDED);
	}
	if (p.kind == WIRE_ICMP_ERROR || p.kind == WIRE_LATER_FRAGMENT)
		return finish(CF_REDIRECT_V_NOT_SERVICE, ACT_PASS);
	wire_set_v6(to.address, p.flow.dest);
	to.port = p.flow.dest_port;
	to.protocol = p.flow.protocol;
	frontend = bpf_map_lookup_elem(&svc_frontends, &to);
	if (!frontend)
		return finish(CF_REDIRECT_V_NOT_SERVICE, ACT_PASS);
	redirect_release(&p.flow); /* of a connection before, whose end nobody saw */
	verdict = redirect_open(&p, frontend->service, &entry);
	if (verdict != CF_REDIRECT_V_OPENED)
		return refuse(skb, &p, verdict);
	return translate(skb, &p, &entry, CF_REDIRECT_V_OPENED);
}

SEC("tcx/egress")
int redirect_to_workload(struct __sk_buff *skb)
{
	struct frame p = {.tick = bpf_ktime_get_ns() >> TICK_SHIFT};
	struct cf_redirect_entry *known;
	enum wire_parsed parsed;

	if (skb->tc_index == SENT_BACK) {
		skb->tc_index = 0;
		return ACT_PASS;
	}
	parsed = frame_parse(skb, &p, CF_REDIRECT_TO_WORKLOAD);
	if (parsed != WIRE_PARSED)
		return pass(parsed);
	known = bpf_map_lookup_elem(&redirect_flows, &p.flow);
	if (!known)
		return finish(CF_REDIRECT_V_NOT_SERVICE, ACT_PASS);
	redirect_touch(&p, known);
	return translate(skb, &p, known, CF_REDIRECT_V_REVERSED);
}

/* Run by the agent, attached to nothing: a connection that has ended without a word, or whose flow the table let go, is
 * not live any more.  Answers 1 if it was. */
SEC("tc")
int redirect_expire(struct __sk_buff *skb)
{
	struct cf_redirect_expiry expiry;
	struct cf_redirect_entry *entry;
	__s32 idle, limit;

	if (bpf_skb_load_bytes(skb, L3_OFFSET, &expiry, sizeof(expiry)))
		return 0;
	entry = bpf_map_lookup_elem(&redirect_flows, &expiry.flow);
	if (entry) {
		idle = expiry.tick - entry->tick;
		limit = entry->flags & CF_REDIRECT_ANSWERED ? CF_REDIRECT_IDLE_TICKS : CF_REDIRECT_OPENING_TICKS;
		if (!(entry->flags & CF_REDIRECT_CLOSED) && idle <= limit)
			return 0;
	}
	redirect_release(&expiry.flow);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
