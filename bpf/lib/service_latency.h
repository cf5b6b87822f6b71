/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What a backend costs, as Finagle's and linkerd's balancers reckon it ("peak EWMA"): the latest latency at once where
 * it is higher than what was known, else mixed in by the time that has passed; times the connections that it has, plus
 * one. What is not measured again decays towards nothing, so that a backend that was slow once is tried again.
 *
 * Finagle, com.twitter.finagle.loadbalancer.PeakEwma; tower::load::PeakEwma.  Their decay of 10 s is a half-life of 7
 * s; 2^-x is taken as straight between whole x (at most 6 % too high): BPF has no exp().
 */
#ifndef CORTEXFLOW_LIB_SERVICE_LATENCY_H
#define CORTEXFLOW_LIB_SERVICE_LATENCY_H

#include "bpf/abi/service.h"
#include "bpf/lib/bpf.h"

enum {
	COST_HALF_LIFE_MS = 7000,
	COST_OF_FAILURE_US = 1000000, /* a refusal is quick, and must not look cheap */
};
/* More than any measured one: a backend that has connections but no latency yet hasn't answered yet. */
#define COST_UNKNOWN (1ULL << 60)

static __always_inline __u32 cost_clock(void)
{
	return (__u32)(bpf_ktime_get_ns() / 1000000);
}

static __always_inline __u32 cost_after(__u32 us, __u32 age_ms)
{
	__u32 halvings = age_ms / COST_HALF_LIFE_MS;

	if (halvings > 31)
		return 0;
	us >>= halvings;
	return us - (__u32)((__u64)us * (age_ms % COST_HALF_LIFE_MS) / (2 * COST_HALF_LIFE_MS));
}

/* Two CPUs at once: one of the samples is lost, which an average bears. */
static __always_inline void cost_observe(struct cf_backend_load *load, __u64 us)
{
	__u32 now = cost_clock(), sample = us > 0xffffffff ? 0xffffffff : us ? us : 1;
	__u64 cost = load->cost;
	__u32 known = cost >> 32, age = now - (__u32)cost;

	if (sample < known)
		sample = cost_after(known, age) + sample - cost_after(sample, age);
	load->cost = (__u64)sample << 32 | now;
}

static __always_inline __u64 cost_of(const struct cf_backend_load *load)
{
	__u64 cost = load->cost, active = load->active;
	__u32 us = cost_after(cost >> 32, cost_clock() - (__u32)cost);

	if (!us)
		return active ? COST_UNKNOWN + active : 0;
	return us * (active + 1);
}

#endif
