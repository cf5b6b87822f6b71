// SPDX-License-Identifier: Apache-2.0
#include "agent/events/decode_error.h"

namespace cortexflow::events {

std::string_view cause(DecodeError error) {
  switch (error) {
    case DecodeError::kShort:
      return "record_short";
    case DecodeError::kUnknownType:
      return "record_type";
    case DecodeError::kUnknownVersion:
      return "record_version";
    case DecodeError::kBadField:
      break;
  }
  return "record_field";
}

}  // namespace cortexflow::events
