/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* How each record in a ring buffer starts.  Included by clang for the bpf target and by the C++ compiler. */
#ifndef CORTEXFLOW_ABI_EVENT_H
#define CORTEXFLOW_ABI_EVENT_H

#ifdef __bpf__
#include <vmlinux.h>
#else
#include <linux/types.h>
#endif

#ifdef __cplusplus
#define CF_STATIC_ASSERT static_assert
#else
#define CF_STATIC_ASSERT _Static_assert
#endif

enum { CF_COMM_LEN = 16 }; /* TASK_COMM_LEN */

/* A reader skips what it doesn't know by len. */
struct cf_event_head {
	__u16 type;    /* enum cf_event_type */
	__u16 version; /* of that type's layout */
	__u32 len;     /* octets of the whole record, this head included */
};

enum cf_event_type {
	CF_EVENT_DNS_LOOKUP = 1,
	CF_EVENT_FLOW = 2,
	CF_EVENT_POLICY = 3,
};

#endif
