// SPDX-License-Identifier: Apache-2.0
/*
 * ask ADDRESS SECONDS: looks names up one after the other at a resolver, each from a socket of its own as stub
 * resolvers do (RFC 5452 9.2), and prints the time of a lookup as JSON, in microseconds: median and percentiles, which
 * a machine's other work moves less than an average.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dns_wire.h"

enum { SAMPLES_MAX = 1 << 20 };

static float samples[SAMPLES_MAX];

static double now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;

  return (x > y) - (x < y);
}

/* Whether an answer came. */
static int look_up(const struct sockaddr_in *server, unsigned id, unsigned number) {
  struct timeval patience = {.tv_sec = 1};
  unsigned char message[512];
  size_t length = make_query(message, id, number);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int answered;

  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (fd < 0 || connect(fd, (const struct sockaddr *)server, sizeof(*server))) {
    perror("connect");
    exit(1);
  }
  answered = send(fd, message, length, 0) == (ssize_t)length && recv(fd, message, sizeof(message), 0) >= HEADER;
  close(fd);
  return answered;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
  unsigned n = 0, lost = 0;
  double begin, at;

  if (argc != 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
    fprintf(stderr, "usage: ask ADDRESS SECONDS\n");
    return 2;
  }
  for (begin = at = now(); at - begin < atof(argv[2]) && n < SAMPLES_MAX;) {
    int answered = look_up(&address, (n + lost) & 0xffff, n % 1000);
    double end = now();

    if (answered)
      samples[n++] = (float)((end - at) * 1e6);
    else
      lost++;
    at = end;
  }
  if (!n) {
    fprintf(stderr, "ask: no answer from %s\n", argv[1]);
    return 1;
  }
  qsort(samples, n, sizeof(*samples), ascending);
  printf("{\"lookups\": %u, \"lost\": %u, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f}\n", n, lost,
         (double)samples[n / 2], (double)samples[(unsigned long)n * 9 / 10],
         (double)samples[(unsigned long)n * 99 / 100]);
  return 0;
}
