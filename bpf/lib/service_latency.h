/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* How a measured connect latency goes into what a backend costs (bpf/abi/service_cost.h): at once where it is higher
 * than what was known, else mixed in by the time that has passed. */
#ifndef CORTEXFLOW_LIB_SERVICE_LATENCY_H
#define CORTEXFLOW_LIB_SERVICE_LATENCY_H

#include "bpf/abi/service_cost.h"
#include "bpf/lib/bpf.h"

enum {
	COST_OF_FAILURE_US = 1000000, /* a refusal is quick, and must not look cheap */
};

static __always_inline __u32 cost_clock(void)
{
	return (__u32)(bpf_ktime_get_ns() / 1000000);
}

/* Two CPUs at once: one of the samples is lost, which an average bears. */
static __always_inline void cost_observe(struct cf_backend_load *load, __u64 us)
{
	__u32 now = cost_clock(), sample = us > 0xffffffff ? 0xffffffff : us ? us : 1;
	__u64 cost = load->cost;
	__u32 known = cost >> 32, age = now - (__u32)cost;

	if (sample < known)
		sample = cf_svc_cost_after(known, age) + sample - cf_svc_cost_after(sample, age);
	load->cost = (__u64)sample << 32 | now;
}

static __always_inline __u64 cost_of(const struct cf_backend_load *load)
{
	return cf_svc_cost(load->cost, load->active, cost_clock());
}

#endif
