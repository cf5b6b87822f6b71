/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages of the load programs: a query for an A record, and its answer. */
#ifndef CORTEXFLOW_BENCH_DNS_WIRE_H
#define CORTEXFLOW_BENCH_DNS_WIRE_H

#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 128, HEADER = 12, ANSWER_RECORD = 16 };

/* "n<8 digits>.bench.test", type A, class IN.  Returns the message's length. */
static inline size_t make_query(unsigned char *message, unsigned id, unsigned number) {
  static const unsigned char tail[] = "\5bench\4test\0\0\1\0\1";
  unsigned char header[HEADER] = {id >> 8, id & 0xff, 1 /* RD */, 0, 0, 1};
  char label[16];

  memcpy(message, header, HEADER);
  snprintf(label, sizeof(label), "n%08u", number % 100000000);
  message[HEADER] = 9;
  memcpy(message + HEADER + 1, label, 9);
  memcpy(message + HEADER + 10, tail, sizeof(tail) - 1);
  return HEADER + 10 + sizeof(tail) - 1;
}

/* Turns the query into its answer, with one address.  Returns the message's new length. */
static inline size_t make_answer(unsigned char *message, size_t length) {
  static const unsigned char record[ANSWER_RECORD] = {0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};

  message[2] |= 0x80; /* QR */
  message[3] |= 0x80; /* RA */
  message[7] = 1;
  memcpy(message + length, record, sizeof(record));
  return length + sizeof(record);
}

#endif
