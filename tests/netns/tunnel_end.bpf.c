// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
// The backend's end of a tunnel on kernels without ipip and fou devices: takes off an outer IPv4 or IPv6 header, and
// UDP where it goes to GUE's port.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#define SEC(name) __attribute__((section(name), used))
#define GUE_PORT 6080

static long (*bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;

SEC("xdp")
int tunnel_end(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data, saved;
  struct udphdr *udp;
  unsigned char next;
  int off;

  if ((void *)(eth + 1) > end) return XDP_PASS;
  if (eth->h_proto == __builtin_bswap16(ETH_P_IP)) {
    struct iphdr *ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > end || ip->ihl != 5) return XDP_PASS;
    next = ip->protocol, off = sizeof(*ip), udp = (void *)(ip + 1);
  } else if (eth->h_proto == __builtin_bswap16(ETH_P_IPV6)) {
    struct ipv6hdr *ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > end) return XDP_PASS;
    next = ip->nexthdr, off = sizeof(*ip), udp = (void *)(ip + 1);
  } else {
    return XDP_PASS;
  }
  if (next == IPPROTO_UDP) {
    if ((void *)(udp + 1) > end || udp->dest != __builtin_bswap16(GUE_PORT)) return XDP_PASS;
    off += sizeof(*udp);
  } else if (next != IPPROTO_IPIP && next != IPPROTO_IPV6) {
    return XDP_PASS;
  }
  saved = *eth;
  if (bpf_xdp_adjust_head(ctx, off)) return XDP_DROP;
  data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
  if (data + sizeof(saved) > end) return XDP_DROP;
  *(struct ethhdr *)data = saved;
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
