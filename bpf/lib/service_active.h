/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Taking a socket out of the counts of live and of pending connections. */
#ifndef CORTEXFLOW_LIB_SERVICE_ACTIVE_H
#define CORTEXFLOW_LIB_SERVICE_ACTIVE_H

#include "bpf/lib/service_maps.h"

static __always_inline void svc_drop(__u32 service, bool active, bool pending)
{
	struct cf_service_load *load = bpf_map_lookup_elem(&svc_load, &service);

	if (!load)
		return;
	bpf_spin_lock(&load->lock);
	if (active && load->active)
		load->active--;
	if (pending && load->pending)
		load->pending--;
	bpf_spin_unlock(&load->lock);
}

/* The socket is connected, or connects, to its backend. */
static __always_inline void svc_take(struct cf_svc_socket *socket, bool pending)
{
	struct cf_service_load *load = bpf_map_lookup_elem(&svc_load, &socket->service);
	struct cf_backend_load *of_backend = bpf_map_lookup_elem(&svc_load_be, &socket->backend);

	socket->counted = 1;
	socket->pending = pending;
	if (of_backend)
		__sync_fetch_and_add(&of_backend->active, 1);
	if (!load)
		return;
	bpf_spin_lock(&load->lock);
	load->active++;
	load->pending += pending;
	bpf_spin_unlock(&load->lock);
}

/* It is established, or will not be any more. */
static __always_inline void svc_not_pending(struct cf_svc_socket *socket)
{
	if (!socket->pending)
		return;
	socket->pending = 0;
	svc_drop(socket->service, false, true);
}

/* A connection to that backend is not live any more. */
static __always_inline void svc_ended(__u32 service, __u32 backend, bool pending)
{
	struct cf_backend_load *load = bpf_map_lookup_elem(&svc_load_be, &backend);

	svc_drop(service, true, pending);
	if (load)
		__sync_fetch_and_add(&load->active, -1);
}

/* The socket is closed, or connects anew. */
static __always_inline void svc_let_go(struct cf_svc_socket *socket)
{
	if (!socket->counted)
		return;
	socket->counted = 0;
	svc_ended(socket->service, socket->backend, socket->pending);
	socket->pending = 0;
}

/* connect() has failed before a SYN left. */
static __always_inline void svc_unsent(struct cf_svc_socket *socket)
{
	struct cf_backend_load *load = bpf_map_lookup_elem(&svc_load_be, &socket->backend);

	socket->phase = CF_SVC_OVER;
	if (!load)
		return;
	__sync_fetch_and_add(&load->results[CF_SVC_R_UNSENT], 1); /* the caller's trouble, not the backend's */
}

#endif
