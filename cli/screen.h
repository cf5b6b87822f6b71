// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace cortexflow::cli {

// The terminal's alternate screen, for as long as this lives, and while the process is stopped (Ctrl-Z) not.
class Screen {
 public:
  Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen();

  [[nodiscard]] std::size_t rows() const;
  // Shows `text`, printable lines, cut to the screen's size.
  void draw(const std::string& text) const;

  // Back to the ordinary screen; may be called by a signal handler.
  static void leave();
};

// `text`, its lines cut to `rows` and `columns`, with what puts each in its place on a screen.
[[nodiscard]] std::string frame(const std::string& text, std::size_t rows, std::size_t columns);

}  // namespace cortexflow::cli
