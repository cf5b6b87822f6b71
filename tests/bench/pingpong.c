// SPDX-License-Identifier: Apache-2.0
/*
 * pingpong ADDRESS PORT SECONDS: one octet there and back on one TCP connection, again and again; prints the median
 * round trip as JSON, in microseconds.  pingpong PORT: the other side, one caller at a time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

static int serve(int port) {
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&own, sizeof own) || listen(listener, 8)) return 1;
  for (;;) {
    int peer = accept(listener, NULL, NULL);
    char octet;

    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (read(peer, &octet, 1) == 1 && write(peer, &octet, 1) == 1) {
    }
    close(peer);
  }
}

int main(int argc, char **argv) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, count = 0;
  char octet = 1;
  double end;

  if (argc == 2) return serve(atoi(argv[1]));
  if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  to.sin_port = htons((unsigned short)atoi(argv[2]));
  if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
    perror(argv[1]);
    return 1;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  end = now() + atof(argv[3]);
  for (double began = now(); began < end && count < SAMPLES_MAX; count++) {
    double ended;

    if (write(fd, &octet, 1) != 1 || read(fd, &octet, 1) != 1) return 1;
    ended = now();
    samples[count] = (float)((ended - began) * 1e6);
    began = ended;
  }
  qsort(samples, (size_t)count, sizeof *samples, ascending);
  printf("{\"count\": %d, \"median_us\": %.3f}\n", count, (double)samples[count / 2]);
  return 0;
}
