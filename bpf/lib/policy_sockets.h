/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What mesh/policy has said of a TCP connection; observe/flow tells of it. */
#ifndef CORTEXFLOW_LIB_POLICY_SOCKETS_H
#define CORTEXFLOW_LIB_POLICY_SOCKETS_H

#include "bpf/abi/policy.h"
#include "bpf/lib/bpf.h"

enum policy_role {
	POLICY_ROLE_OPENED = 1,	  /* by the socket's owner: whom it may call is the question */
	POLICY_ROLE_ACCEPTED = 2, /* or listens: who may call it */
};

struct policy_socket {
	struct cf_policy_judgment judgment; /* generation 0: not judged yet */
	__u8 remote[16];		    /* of one that was opened: a socket may connect again, to another */
	__u16 remote_port;
	__u8 role; /* enum policy_role */
	__u8 pad[5];
};

/* Of TCP: the verdict of a connection, as long as its socket lives.  A listener's is handed to what it accepts, so that
 * who opened a connection is known though the listener is gone. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct policy_socket);
} policy_sockets SEC(".maps");

#endif
