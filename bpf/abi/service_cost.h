/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What a backend costs, as Finagle's and linkerd's balancers reckon it ("peak EWMA"): its connect latency, which decays
 * while nothing is measured, so that a backend that was slow once is tried again; times the connections that it has,
 * plus one.  How samples come in: bpf/lib/service_latency.h.
 *
 * Finagle, com.twitter.finagle.loadbalancer.PeakEwma; tower::load::PeakEwma.  Their decay of 10 s is a half-life of 7
 * s; 2^-x is taken as straight between whole x (at most 6 % too high): BPF has no exp().
 *
 * Included by clang for the bpf target and by the C++ compiler: the agent says what the kernel would choose.
 */
#ifndef CORTEXFLOW_ABI_SERVICE_COST_H
#define CORTEXFLOW_ABI_SERVICE_COST_H

#include "bpf/abi/service.h"

enum {
	CF_SVC_COST_HALF_LIFE_MS = 7000,
};
/* More than any measured one: a backend that has connections but no latency yet hasn't answered yet. */
#define CF_SVC_COST_UNKNOWN (1ULL << 60)

static inline __u32 cf_svc_cost_after(__u32 us, __u32 age_ms)
{
	__u32 halvings = age_ms / CF_SVC_COST_HALF_LIFE_MS;

	if (halvings > 31)
		return 0;
	us >>= halvings;
	return us - (__u32)((__u64)us * (age_ms % CF_SVC_COST_HALF_LIFE_MS) / (2 * CF_SVC_COST_HALF_LIFE_MS));
}

/* Microseconds, of cf_backend_load.cost at `now_ms` (CLOCK_MONOTONIC, its lower 32 bits). */
static inline __u32 cf_svc_cost_latency(__u64 cost, __u32 now_ms)
{
	return cf_svc_cost_after((__u32)(cost >> 32), now_ms - (__u32)cost);
}

static inline __u64 cf_svc_cost(__u64 cost, __u64 active, __u32 now_ms)
{
	__u32 us = cf_svc_cost_latency(cost, now_ms);

	if (!us)
		return active ? CF_SVC_COST_UNKNOWN + active : 0;
	return us * (active + 1);
}

#endif
