// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* What a program costs that does nothing: the base that the DNS programs are measured against. */
#include <linux/bpf.h>

#define SECTION(name) __attribute__((section(name), used))

SECTION("cgroup_skb/egress")
int empty_egress(struct __sk_buff *skb) { return 1; }

SECTION("cgroup_skb/ingress")
int empty_ingress(struct __sk_buff *skb) { return 1; }

char LICENSE[] SECTION("license") = "GPL";
