/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef CORTEXFLOW_LIB_SERVICE_SOCKETS_H
#define CORTEXFLOW_LIB_SERVICE_SOCKETS_H

#include "bpf/abi/service.h"
#include "bpf/lib/bpf.h"

/* What each translated socket was connected to.  Lives and dies with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cf_svc_socket);
} svc_sockets SEC(".maps");

#endif
