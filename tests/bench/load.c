// SPDX-License-Identifier: Apache-2.0
/*
 * load RATE SECONDS FIRST NAMES ADDRESS PORT CGROUP: asks and answers DNS queries over loopback at a fixed rate, and
 * prints how many as JSON.
 *
 * Both ends in one thread, a batch at a time: sendmmsg, recvmmsg, and back.  So nothing overflows, no scheduling lies
 * between query and answer, and one core carries rates that a resolver's own work would forbid.  RATE 0: as fast as it
 * goes.  Names are numbered from FIRST on, NAMES different ones.  Only the asking socket is in CGROUP.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dns_wire.h"

enum { BATCH_MAX = 64 };

static unsigned char buffers[BATCH_MAX][MESSAGE_MAX];
static struct sockaddr_in peers[BATCH_MAX];
static struct iovec parts[BATCH_MAX];
static struct mmsghdr messages[BATCH_MAX];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void sleep_until(double when) {
  struct timespec t = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};

  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR);
}

static int udp_socket(void) {
  struct timeval patience = {.tv_usec = 200000};
  int bytes = 4 << 20;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return fd;
}

static void join_cgroup(const char *directory) {
  char path[512];
  int fd;

  snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
  fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "0", 1) != 1) die(path);
  close(fd);
}

static void send_all(int fd, int n) {
  for (int sent = 0; sent < n;) {
    int done = sendmmsg(fd, messages + sent, (unsigned)(n - sent), 0);

    if (done < 0) die("sendmmsg");
    sent += done;
  }
}

/* Up to n messages; fewer where they do not come in time. */
static int receive_all(int fd, int n, int with_peer) {
  int have = 0;

  for (int i = 0; i < n; i++) {
    parts[i].iov_len = MESSAGE_MAX;
    messages[i].msg_hdr.msg_name = with_peer ? &peers[i] : NULL;
    messages[i].msg_hdr.msg_namelen = with_peer ? sizeof(peers[i]) : 0;
  }
  while (have < n) {
    int done = recvmmsg(fd, messages + have, (unsigned)(n - have), MSG_WAITFORONE, NULL);

    if (done < 0 && errno != EINTR) break;
    have += done > 0 ? done : 0;
  }
  for (int i = 0; i < have; i++) parts[i].iov_len = messages[i].msg_len;
  return have;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  unsigned long sent = 0, answered = 0;
  struct rusage usage;
  double begin, end, seconds, rate;
  unsigned first, names;
  int server, client, batch;

  if (argc != 8 || inet_pton(AF_INET, argv[5], &address.sin_addr) != 1) {
    fprintf(stderr, "usage: load RATE SECONDS FIRST NAMES ADDRESS PORT CGROUP\n");
    return 2;
  }
  rate = atof(argv[1]);
  seconds = atof(argv[2]);
  first = (unsigned)atoi(argv[3]);
  names = (unsigned)atoi(argv[4]);
  address.sin_port = htons((unsigned short)atoi(argv[6]));
  server = udp_socket();
  if (bind(server, (struct sockaddr *)&address, sizeof(address))) die("bind");
  join_cgroup(argv[7]);
  client = udp_socket();
  if (connect(client, (struct sockaddr *)&address, sizeof(address))) die("connect");
  for (int i = 0; i < BATCH_MAX; i++) {
    parts[i].iov_base = buffers[i];
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  batch = rate > 0 && rate < 1000.0 * BATCH_MAX ? (int)(rate / 1000) + 1 : BATCH_MAX;

  begin = now();
  do {
    int n;

    for (int i = 0; i < batch; i++) {
      unsigned number = (unsigned)(sent + (unsigned)i);

      parts[i].iov_len = make_query(buffers[i], number & 0xffff, first + number % names);
      messages[i].msg_hdr.msg_name = NULL;
      messages[i].msg_hdr.msg_namelen = 0;
    }
    send_all(client, batch);
    sent += (unsigned)batch;
    n = receive_all(server, batch, 1);
    for (int i = 0; i < n; i++) parts[i].iov_len = make_answer(buffers[i], parts[i].iov_len);
    send_all(server, n);
    answered += (unsigned)receive_all(client, n, 0);
    if (rate > 0) sleep_until(begin + (double)sent / rate);
    end = now();
  } while (end - begin < seconds);
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"sent\": %lu, \"answered\": %lu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", sent, answered, end - begin,
         (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6);
  return 0;
}
