// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The edge under BPF_PROG_TEST_RUN's `repeat`, which hands each run the frame as the last one left it: each run here
 * puts another flow's source address into the frame, and afterwards the frame back as it was.  `bench_floor` does that
 * alone.
 */
#include "bpf/lib/edge_path.h"

enum { SAVED = 24 /* words: all headers */ };

/* Written by the benchmark. */
__u32 bench_flow_mask; /* flows, less 1 */
__u32 bench_next;
__u32 bench_frame; /* its length */

static __u32 saved[SAVED]; /* the stack has no room; one run at a time */

static __always_inline int around(struct xdp_md *ctx, bool floor) {
  __u32 *frame = edge_at(ctx, 0, SAVED * 4), number = bench_next++;
  __u16 *source;
  int action;

  if (!frame) return XDP_ABORTED;
#pragma unroll
  for (int i = 0; i < SAVED; i++) saved[i] = frame[i];
  /* An odd factor visits every flow, in no order that a cache could guess. */
  number = (number * 0x9e3779b1U) & bench_flow_mask;
  source = (__u16 *)frame + ((__u16)frame[3] == bpf_htons(ETH_P_IP) ? 13 : 17); /* lower part of the address */
  source[0] ^= number >> 16;
  source[1] ^= number;
  action = floor ? XDP_PASS : edge_receive(ctx);
  if (bpf_xdp_adjust_head(ctx, (int)edge_frame_length(ctx) - (int)bench_frame)) return XDP_ABORTED;
  frame = edge_at(ctx, 0, SAVED * 4);
  if (!frame) return XDP_ABORTED;
#pragma unroll
  for (int i = 0; i < SAVED; i++) frame[i] = saved[i];
  return action;
}

SEC("xdp")
int bench_edge(struct xdp_md *ctx) { return around(ctx, false); }

SEC("xdp")
int bench_floor(struct xdp_md *ctx) { return around(ctx, true); }

SEC("xdp")
int bench_empty(struct xdp_md *ctx) { return XDP_PASS; }

SEC("xdp")
int bench_clock(struct xdp_md *ctx) { return bpf_ktime_get_ns() ? XDP_PASS : XDP_DROP; }

char LICENSE[] SEC("license") = "GPL";
