/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Which backend a caller gets. */
#ifndef CORTEXFLOW_LIB_SERVICE_CHOICE_H
#define CORTEXFLOW_LIB_SERVICE_CHOICE_H

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

/* Takes a connection out of the live ones, once: `counted` says whether it is in, and changes under the lock. */
static __always_inline void drop_active(__u32 service, __u32 backend, __u32 *counted)
{
	struct cf_service_load *load = bpf_map_lookup_elem(&svc_load, &service);
	struct cf_backend_load *its;
	__u32 was = *counted;

	if (!was)
		return;
	if (load) {
		bpf_spin_lock(&load->lock);
		was = *counted;
		*counted = 0;
		if (was && load->active)
			load->active--;
		bpf_spin_unlock(&load->lock);
	}
	its = was ? bpf_map_lookup_elem(&svc_load_be, &backend) : NULL;
	if (its)
		__sync_fetch_and_add(&its->active, -1);
}

enum choice {
	CHOICE_NONE = 0, /* the service has gone: not ours to translate */
	CHOICE_MADE,
	CHOICE_EMPTY,
	CHOICE_BREAKER,
	CHOICE_LOST,
};

/* Chooses for one caller; counts it as active where `connecting` and says so in `counted`. */
static __always_inline enum choice choose(void *ctx, __u32 service, bool connecting, struct cf_backend *to,
					  __u32 *number, __u32 *counted)
{
	struct caller caller;
	__u32 counts = 0;

	for (int i = 0; i < CHOICE_TRIES; i++) {
		struct cf_service *found = bpf_map_lookup_elem(&svc_services, &service);
		struct cf_svc_subset *subset = NULL;
		struct cf_service_load *load;
		struct cf_backend *backend = NULL;
		struct cf_service s;
		__u32 table, size, index;
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
		bpf_spin_lock(&load->lock);
		cursor = load->cursor;
		if (connecting && !counts && s.max_connections && load->active >= s.max_connections) {
			load->refused++;
			bpf_spin_unlock(&load->lock);
			return CHOICE_BREAKER;
		}
		if (!subset)
			load->cursor = cursor + 1;
		if (connecting && !counts) {
			load->active++;
			counts = 1;
		}
		bpf_spin_unlock(&load->lock);
		if (subset) {
			bpf_spin_lock(&subset->lock);
			cursor = subset->cursor;
			subset->cursor = cursor + 1;
			bpf_spin_unlock(&subset->lock);
		}
		*counted = counts;

		if (s.affinity_s) {
			struct cf_svc_affinity_key key = {.client = caller.client, .service = service};
			struct cf_svc_affinity *kept = bpf_map_lookup_elem(&svc_affinity, &key);

			if (kept && bpf_ktime_get_ns() - kept->last_ns <= s.affinity_s * 1000000000ULL) {
				*number = kept->backend;
				backend = bpf_map_lookup_elem(&svc_backends, number);
				if (backend &&
				    (backend->service != service || (backend->flags & CF_SVC_BACKEND_DRAINED)))
					backend = NULL;
			}
		}
		if (!backend) {
			if (s.algorithm == CF_SVC_RANDOM)
				index = bpf_get_prandom_u32() % size;
			else if (s.algorithm == CF_SVC_HASH)
				index = caller.hash % size;
			else if (s.algorithm == CF_SVC_LEAST_CONNECTIONS)
				index = least_connections(table, size, cursor);
			else
				index = cursor % size;
			backend = backend_in(table, index, service, number);
		}
		if (!backend) {
			svc_count(CF_SVC_C_RETRIED);
			continue;
		}
		*to = *backend;
		if (s.affinity_s) {
			struct cf_svc_affinity_key key = {.client = caller.client, .service = service};
			struct cf_svc_affinity fresh = {.last_ns = bpf_ktime_get_ns(), .backend = *number};

			if (bpf_map_update_elem(&svc_affinity, &key, &fresh, BPF_ANY))
				svc_count(CF_SVC_C_HELPER_FAILED);
		}
		return CHOICE_MADE;
	}
	return CHOICE_LOST;
}

#endif
