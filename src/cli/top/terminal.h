// A whole terminal to draw on, key by key, left as it was found.
#pragma once

#include <termios.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/top/view_text.h"

namespace signalbox::cli {

enum class Key : uint8_t { kQuit, kSort, kObjective, kUp, kDown, kPageUp, kPageDown, kHome, kEnd };

// Bytes that a terminal sends, as keys. A sequence may come in several pieces; what is no key of ours is left out.
class KeyReader {
 public:
  std::vector<Key> Read(std::string_view bytes);

 private:
  enum class State : uint8_t { kText, kEscape, kSequence };
  State state_ = State::kText;
  std::string sequence_;  // behind ESC [
};

// Whether standard input and output are a terminal that can be drawn on.
bool IsDrawable();
// False with the environment variable NO_COLOR (no-color.org).
bool WantsColours();

// The size of the terminal at standard output; 80 x 24 where it does not say.
struct TerminalSize {
  size_t columns = 80;
  size_t rows = 24;
};
TerminalSize SizeOfTerminal();

// Takes standard input and output over while it lives: another screen, no echo, no cursor. Ctrl-C still is a signal.
class Terminal {
 public:
  explicit Terminal(bool with_colours);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Gives it back and takes it again, for a stop by Ctrl-Z.
  void Leave();
  void Enter();
  // The lines from the top; those beyond the last row are left out. False when the terminal is gone.
  bool Draw(const std::vector<ViewLine>& lines, const TerminalSize& size);

 private:
  bool with_colours_;
  bool is_entered_ = false;
  termios before_ = {};
};

// What Draw writes.
std::string DrawnText(const std::vector<ViewLine>& lines, const TerminalSize& size, bool with_colours);

}  // namespace signalbox::cli
