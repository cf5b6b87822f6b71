// SPDX-License-Identifier: Apache-2.0
// Sends one datagram through io_uring and waits, through io_uring, for one back; prints the answer in hex.
// uring_send sendmsg|send|sqpoll IPV4 PORT HEX: sendmsg names the destination, the other two use a connected socket,
// and with sqpoll a kernel thread does the sending.
#include <arpa/inet.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void die(const char *what, int error) {
  fprintf(stderr, "%s: %s\n", what, strerror(error));
  exit(1);
}

static int finish(struct io_uring *ring, const char *what) {
  struct __kernel_timespec limit = {.tv_sec = 5};
  struct io_uring_cqe *cqe;
  int rc;

  rc = io_uring_submit(ring);
  if (rc < 0) die("submit", -rc);
  rc = io_uring_wait_cqe_timeout(ring, &cqe, &limit);
  if (rc < 0) die(what, -rc);
  rc = cqe->res;
  io_uring_cqe_seen(ring, cqe);
  if (rc < 0) die(what, -rc);
  return rc;
}

int main(int argc, char **argv) {
  unsigned char message[512], answer[65536];
  struct sockaddr_in server = {.sin_family = AF_INET};
  struct io_uring ring;
  size_t length;
  int rc, sock, connected;

  if (argc != 5 || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1) return 2;
  connected = strcmp(argv[1], "sendmsg") != 0;
  server.sin_port = htons((unsigned short)atoi(argv[3]));
  length = strlen(argv[4]) / 2;
  if (length > sizeof(message)) return 2;
  for (size_t i = 0; i < length; i++)
    if (sscanf(argv[4] + 2 * i, "%2hhx", &message[i]) != 1) return 2;

  rc = io_uring_queue_init(8, &ring, strcmp(argv[1], "sqpoll") ? 0 : IORING_SETUP_SQPOLL);
  if (rc < 0) die("io_uring_queue_init", -rc);
  sock = socket(AF_INET, SOCK_DGRAM, 0);
  if (sock < 0) die("socket", 0);
  if (connected && connect(sock, (struct sockaddr *)&server, sizeof(server))) die("connect", 0);

  struct iovec part = {.iov_base = message, .iov_len = length};
  struct msghdr header = {.msg_name = &server, .msg_namelen = sizeof(server), .msg_iov = &part, .msg_iovlen = 1};
  struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

  if (connected)
    io_uring_prep_send(sqe, sock, message, length, 0);
  else
    io_uring_prep_sendmsg(sqe, sock, &header, 0);
  finish(&ring, "send");

  sqe = io_uring_get_sqe(&ring);
  io_uring_prep_recv(sqe, sock, answer, sizeof(answer), 0);
  rc = finish(&ring, "receive");
  for (int i = 0; i < rc; i++) printf("%02x", answer[i]);
  printf("\n");
  return 0;
}
