/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Numbers of protocols' headers that are macros in the kernel. */
#ifndef CORTEXFLOW_LIB_WIRE_H
#define CORTEXFLOW_LIB_WIRE_H

enum {
	IPPROTO_ICMP6 = 58,
	/* RFC 9293 3.1 */
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
};

#endif
