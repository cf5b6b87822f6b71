/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Which backend a caller gets. */
#ifndef CORTEXFLOW_LIB_SERVICE_CHOICE_H
#define CORTEXFLOW_LIB_SERVICE_CHOICE_H

#include "bpf/lib/service_latency.h"
#include "bpf/lib/service_maps.h"

enum {
	CHOICE_TRIES = 3, /* a table may change under its reader */
};

struct caller {
	__u64 client; /* whose backend affinity keeps */
	__u64 version;
	__u64 hash;
};

/* Fills in what is known of the caller.  `deep`: version and hash matter for this service.  Each program that includes
 * this has its own: `ctx` is what it gave to choose(). */
static __always_inline void know_caller(void *ctx, struct caller *caller, bool deep);

/* FORGOTTEN(), by what each such program has to read twice. */
static __always_inline bool forgotten(void *ctx, bool value);

/* The backend in that slot, if it is (still) one of the service's. */
static __always_inline struct cf_backend *backend_in(__u32 table, __u32 index, __u32 service, __u32 *number)
{
	struct cf_svc_slot_key key = {.table = table, .index = index};
	struct cf_svc_slot *slot = bpf_map_lookup_elem(&svc_slots, &key);
	struct cf_backend *backend;

	if (!slot)
		return NULL;
	*number = slot->backend;
	backend = bpf_map_lookup_elem(&svc_backends, number);
	return backend && backend->service == service ? backend : NULL;
}

/* The slot whose backend has the fewest connections; the first of those from `start` on.  A global function: the
 * verifier goes through its loop once, not once for every way that leads here. */
__noinline __u32 least_connections(__u32 table, __u32 size, __u64 start)
{
	__u32 best = start % size;
	__u64 fewest = ~0ULL;

	for (__u32 i = 0; i < CF_SVC_LEAST_SCAN && i < size; i++) {
		struct cf_svc_slot_key key = {.table = table, .index = (start + i) % size};
		struct cf_svc_slot *slot = bpf_map_lookup_elem(&svc_slots, &key);
		struct cf_backend_load *load;
		__u32 number;

		if (!slot)
			continue;
		number = slot->backend;
		load = bpf_map_lookup_elem(&svc_load_be, &number);
		if (load && load->active < fewest) {
			fewest = load->active;
			best = key.index;
		}
	}
	return best;
}

/* The load of the backend in that slot; null where the slot has just gone. */
static __always_inline struct cf_backend_load *load_in(__u32 table, __u32 index)
{
	struct cf_svc_slot_key key = {.table = table, .index = index};
	struct cf_svc_slot *slot = bpf_map_lookup_elem(&svc_slots, &key);
	__u32 number;

	if (!slot)
		return NULL;
	number = slot->backend;
	return bpf_map_lookup_elem(&svc_load_be, &number);
}

/* Of two random slots, the one whose backend costs less (Mitzenmacher, The Power of Two Choices, 2001). */
static __always_inline __u32 least_latency(__u32 table, __u32 size)
{
	__u32 one = bpf_get_prandom_u32() % size, other;
	struct cf_backend_load *its, *others;

	if (size == 1)
		return one;
	other = (one + 1 + bpf_get_prandom_u32() % (size - 1)) % size;
	its = load_in(table, one);
	others = load_in(table, other);
	if (!its || !others)
		return its ? one : other;
	return cost_of(others) < cost_of(its) ? other : one;
}

/* A backend on probation has the one connection that it may have. */
static __always_inline bool is_taken(__u32 backend)
{
	struct cf_backend_load *load = bpf_map_lookup_elem(&svc_load_be, &backend);

	return load && load->active;
}

/* What was chosen, and in which counts the caller is by now. */
struct chosen {
	__u32 number;
	bool watched; /* given by the caller: observe/tcp follows the connection */
	bool kernels; /* given by the caller: a kernel's own socket, which the limits hold for, and which is not counted
			 yet */
	bool counted; /* as active */
	bool pending; /* the same, or to be */
	bool eperm;   /* how the service's circuit breaker refuses */
};

enum choice {
	CHOICE_NONE = 0, /* the service has gone: not ours to translate */
	CHOICE_MADE,
	CHOICE_EMPTY,
	CHOICE_BREAKER,		/* as many as max_connections are there */
	CHOICE_BREAKER_PENDING, /* as many as max_pending are not established yet */
	CHOICE_LOST,
};

/* Chooses for one caller; counts it where `connecting`. */
static __always_inline enum choice choose(void *ctx, __u32 service, bool connecting, struct cf_backend *to,
					  struct chosen *chosen)
{
	struct caller caller;
	bool in_turn = false;

	for (int i = 0; i < CHOICE_TRIES; i++) {
		struct cf_service *found = bpf_map_lookup_elem(&svc_services, &service);
		struct cf_svc_subset *subset = NULL;
		struct cf_service_load *load;
		struct cf_backend *backend = NULL;
		struct cf_service s;
		__u32 table, size, index;
		bool limits_pending;
		enum choice refusal;
		__u64 cursor;

		if (!found)
			return CHOICE_NONE;
		s = *found;
		table = s.table;
		size = s.size;
		know_caller(ctx, &caller, (s.flags & CF_SVC_BY_VERSION) || s.algorithm == CF_SVC_HASH);
		if ((s.flags & CF_SVC_BY_VERSION) && caller.version) {
			struct cf_svc_subset_key key = {.version = caller.version, .service = service};

			subset = bpf_map_lookup_elem(&svc_subsets, &key);
			if (subset) {
				table = subset->table;
				size = subset->size;
			}
		}
		if (!size)
			return CHOICE_EMPTY;
		load = bpf_map_lookup_elem(&svc_load, &service);
		if (!load)
			continue;
		limits_pending = forgotten(ctx, s.max_pending && chosen->watched);
		chosen->eperm = s.flags & CF_SVC_REFUSE_EPERM;
		refusal = CHOICE_NONE;
		bpf_spin_lock(&load->lock);
		cursor = load->cursor;
		if (connecting && !chosen->counted) {
			if (s.max_connections && load->active >= s.max_connections) {
				load->refused++;
				refusal = CHOICE_BREAKER;
			} else if (limits_pending && load->pending >= s.max_pending) {
				load->refused_pending++;
				refusal = CHOICE_BREAKER_PENDING;
			} else if (!chosen->kernels) {
				load->active++;
				load->pending += limits_pending;
			}
		}
		if (refusal == CHOICE_NONE && !subset)
			load->cursor = cursor + 1;
		bpf_spin_unlock(&load->lock);
		if (refusal != CHOICE_NONE)
			return refusal;
		if (connecting && !chosen->counted) {
			chosen->counted = !chosen->kernels;
			chosen->pending = limits_pending;
		}
		if (subset) {
			bpf_spin_lock(&subset->lock);
			cursor = subset->cursor;
			subset->cursor = cursor + 1;
			bpf_spin_unlock(&subset->lock);
		}

		if (s.affinity_s && !in_turn) {
			struct cf_svc_affinity_key key = {.client = caller.client, .service = service};
			struct cf_svc_affinity *kept = bpf_map_lookup_elem(&svc_affinity, &key);

			if (kept && bpf_ktime_get_ns() - kept->last_ns <= s.affinity_s * 1000000000ULL) {
				chosen->number = kept->backend;
				backend = bpf_map_lookup_elem(&svc_backends, &chosen->number);
				if (backend &&
				    (backend->service != service || (backend->flags & CF_SVC_BACKEND_DRAINED)))
					backend = NULL;
			}
		}
		if (!backend) {
			if (in_turn)
				index = cursor % size;
			else if (s.algorithm == CF_SVC_RANDOM)
				index = bpf_get_prandom_u32() % size;
			else if (s.algorithm == CF_SVC_HASH)
				index = caller.hash % size;
			else if (s.algorithm == CF_SVC_LEAST_CONNECTIONS)
				index = least_connections(table, size, cursor);
			else if (s.algorithm == CF_SVC_LEAST_LATENCY)
				index = least_latency(table, size);
			else
				index = cursor % size;
			backend = backend_in(table, index, service, &chosen->number);
		}
		if (!backend) {
			svc_count(CF_SVC_C_RETRIED);
			continue;
		}
		/* The next slot in turn instead; in the end the backend all the same, rather than none. */
		if (connecting && i + 1 < CHOICE_TRIES && (backend->flags & CF_SVC_BACKEND_PROBATION) &&
		    is_taken(chosen->number)) {
			in_turn = true;
			continue;
		}
		*to = *backend;
		if (s.affinity_s) {
			struct cf_svc_affinity_key key = {.client = caller.client, .service = service};
			struct cf_svc_affinity fresh = {.last_ns = bpf_ktime_get_ns(), .backend = chosen->number};

			if (bpf_map_update_elem(&svc_affinity, &key, &fresh, BPF_ANY))
				svc_count(CF_SVC_C_HELPER_FAILED);
		}
		return CHOICE_MADE;
	}
	return CHOICE_LOST;
}

#endif
