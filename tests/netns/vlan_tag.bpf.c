// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
// An 802.1Q tag on every IPv4 frame that leaves an interface, and off again where one comes in: VLAN traffic, also on a
// kernel without 8021q devices.
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))

static long (*bpf_skb_vlan_push)(struct __sk_buff *skb, unsigned short proto, unsigned short tci) = (void *)18;
static long (*bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;

SEC("tc/push")
int tag_push(struct __sk_buff *skb) {
  if (skb->protocol == __builtin_bswap16(0x0800)) bpf_skb_vlan_push(skb, __builtin_bswap16(0x8100), 7);
  return 0;
}

SEC("tc/pop")
int tag_pop(struct __sk_buff *skb) {
  if (skb->vlan_present) bpf_skb_vlan_pop(skb);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
