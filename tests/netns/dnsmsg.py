# SPDX-License-Identifier: Apache-2.0
"""DNS messages as octets (RFC 1035 4): what the tests send, and what they read back."""

import itertools
import os
import socket
import struct

A, NS, CNAME, SOA, TXT, AAAA, MX, OPT = 1, 2, 5, 6, 16, 28, 15, 41
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

_numbers = itertools.count(1)


def unique(label):
    """A name that no other test asks for."""
    return f"{label}-{os.getpid()}-{next(_numbers)}.test"


def wire_name(name):
    """"a.b" or [b"a", b"b"] as on the wire, with the root."""
    labels = [part.encode() for part in name.split(".") if part] if isinstance(name, str) else name
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def opt(size, extended_rcode=0, options=b""):
    return b"\0" + struct.pack("!HHBBHH", OPT, size, extended_rcode, 0, 0, len(options)) + options


def query(name, qtype=A, ident=None, flags=RD, edns=0, qclass=1):
    ident = int.from_bytes(os.urandom(2), "big") if ident is None else ident
    head = struct.pack("!6H", ident, flags, 1, 0, 0, 1 if edns else 0)
    return head + wire_name(name) + struct.pack("!HH", qtype, qclass) + (opt(edns) if edns else b"")


def frame(message):
    """With the length that TCP carries before it (RFC 1035 4.2.2)."""
    return struct.pack("!H", len(message)) + message


def ident_of(message):
    return struct.unpack_from("!H", message)[0]


class Query:
    """A query that a server got, and the answers that can be made from it."""

    def __init__(self, raw, transport):
        self.raw = raw
        self.transport = transport
        self.ident = ident_of(raw)
        labels, at = [], 12
        while raw[at]:
            labels.append(raw[at + 1 : at + 1 + raw[at]])
            at += 1 + raw[at]
        self.labels = labels
        self.name = b".".join(labels).decode("latin-1")
        self.qtype, self.qclass = struct.unpack_from("!HH", raw, at + 1)
        self.question = raw[12 : at + 5]

    def answer(self, rcode=NOERROR, records=None, flags=RD | RA, ident=None, edns=0, extended_rcode=0):
        """`records`: (type, rdata) each, owned by the question's name through a compression pointer."""
        if records is None:
            records = [address_record(self.qtype)] if rcode == NOERROR else []
        out = struct.pack("!6H", self.ident if ident is None else ident, QR | flags | rcode, 1, len(records), 0, 1 if edns else 0)
        out += self.question
        for rtype, rdata in records:
            out += b"\xc0\x0c" + struct.pack("!HHIH", rtype, 1, 60, len(rdata)) + rdata
        return out + (opt(edns, extended_rcode) if edns else b"")


def address_record(qtype):
    if qtype == AAAA:
        return AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    if qtype == TXT:
        return TXT, b"\x05hello"
    return A, bytes([192, 0, 2, 7])


def padding(octets):
    """TXT records of about that size."""
    return [(TXT, b"\xff" + b"x" * 255)] * max(1, octets // 268)
