// SPDX-License-Identifier: Apache-2.0
// Domain names: from the wire to text.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "agent/base/result.h"

namespace cortexflow::protocol::dns {

// An uncompressed name (RFC 1035 3.1) in presentation form, as dig writes it: . ; \ ( ) " @ $ within a label are
// escaped by a backslash, octets outside 0x21..0x7e are \DDD (RFC 1035 5.1, RFC 4343 2.1).  No final dot, but the root
// is ".". Case is kept.  `wire` is the name and nothing else, its root included. Fails for a label of more than 63
// octets, a name of more than 255, one that runs past the end or has no root, and for octets behind the root.
Result<std::string> to_text(std::span<const std::uint8_t> wire);

// A-Z to a-z and nothing else (RFC 4343 3): names compare without regard to case.
std::string fold_case(std::string name);

}  // namespace cortexflow::protocol::dns
