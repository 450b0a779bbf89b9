// Text that is replaced in place on a terminal, and simply follows what came before where output is a file or a pipe.
#pragma once

#include <cstdio>
#include <string>

namespace signalbox::cli {

class LiveText {
 public:
  // `out` outlives it.
  explicit LiveText(std::FILE* out);

  bool is_terminal() const { return is_terminal_; }
  // Shows whole lines. On a terminal they take the place of those shown last, and are cut at its width.
  void Replace(const std::string& lines);
  // What is shown stays; the next text comes below.
  void Keep() { shown_lines_ = 0; }

 private:
  std::FILE* const out_;
  const bool is_terminal_;
  int shown_lines_ = 0;
};

}  // namespace signalbox::cli
