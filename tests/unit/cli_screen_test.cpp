// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "cli/screen.h"

using cortexflow::cli::frame;

TEST_CASE("A frame is cut to the screen, and clears what the last one left") {
  CHECK(frame("ab\ncd\n", 4, 10) == "\033[H\033[2Kab\r\n\033[2Kcd\r\n\033[J");
  CHECK(frame("abc\nd\ne\n", 2, 2) == "\033[H\033[2Kab\r\n\033[2Kd");  // full: no line end, which would scroll
  CHECK(frame("", 2, 2) == "\033[H\033[J");
}
