#include "cli/top/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>

namespace signalbox::cli {
namespace {

// The other screen and back; the cursor hidden and shown.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";
// Longer than any key's.
constexpr size_t kSequenceBytesMax = 16;

bool Write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::optional<Key> KeyOf(char c) {
  switch (c) {
    case 'q':
    case 'Q':
      return Key::kQuit;
    case 's':
      return Key::kSort;
    case 'o':
      return Key::kObjective;
    case 'k':
      return Key::kUp;
    case 'j':
      return Key::kDown;
    case ' ':
      return Key::kPageDown;
    default:
      return std::nullopt;
  }
}

// Of "ESC [ sequence" and "ESC O sequence".
std::optional<Key> KeyOfSequence(std::string_view sequence) {
  if (sequence == "A") return Key::kUp;
  if (sequence == "B") return Key::kDown;
  if (sequence == "5~") return Key::kPageUp;
  if (sequence == "6~") return Key::kPageDown;
  if (sequence == "H" || sequence == "1~") return Key::kHome;
  if (sequence == "F" || sequence == "4~") return Key::kEnd;
  return std::nullopt;
}

std::string_view StyleText(LineStyle style) {
  switch (style) {
    case LineStyle::kHeading:
      return "\x1b[7m";
    case LineStyle::kBold:
      return "\x1b[1m";
    case LineStyle::kFaint:
      return "\x1b[2m";
    case LineStyle::kAlarm:
      return "\x1b[31m";
    case LineStyle::kPlain:
      break;
  }
  return "";
}

}  // namespace

std::vector<Key> KeyReader::Read(std::string_view bytes) {
  std::vector<Key> keys;
  for (const char c : bytes) {
    if (c == '\x1b') {
      state_ = State::kEscape;
    } else if (state_ == State::kEscape) {
      state_ = c == '[' || c == 'O' ? State::kSequence : State::kText;
      sequence_.clear();
    } else if (state_ == State::kSequence) {
      sequence_ += c;
      const bool is_last = c >= '@' && c <= '~';
      if (is_last || sequence_.size() == kSequenceBytesMax) {
        if (const auto key = KeyOfSequence(sequence_)) keys.push_back(*key);
        state_ = State::kText;
      }
    } else if (const auto key = KeyOf(c)) {
      keys.push_back(*key);
    }
  }
  return keys;
}

bool IsDrawable() {
  const char* kind = getenv("TERM");
  return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

bool WantsColours() {
  const char* no_color = getenv("NO_COLOR");
  return no_color == nullptr || no_color[0] == '\0';
}

TerminalSize SizeOfTerminal() {
  winsize size{};
  TerminalSize result;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return result;
  if (size.ws_col > 0) result.columns = size.ws_col;
  if (size.ws_row > 0) result.rows = size.ws_row;
  return result;
}

Terminal::Terminal(bool with_colours) : with_colours_(with_colours) { Enter(); }

Terminal::~Terminal() { Leave(); }

void Terminal::Enter() {
  if (is_entered_ || tcgetattr(STDIN_FILENO, &before_) != 0) return;
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  Write(kEnter);
  is_entered_ = true;
}

void Terminal::Leave() {
  if (!is_entered_) return;
  Write(kLeave);
  // What was typed for us is not for the shell.
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  is_entered_ = false;
}

bool Terminal::Draw(const std::vector<ViewLine>& lines, const TerminalSize& size) {
  return Write(DrawnText(lines, size, with_colours_));
}

std::string DrawnText(const std::vector<ViewLine>& lines, const TerminalSize& size, bool with_colours) {
  // Line by line, not the whole screen first, so that nothing flickers. Cleared before it is written: behind a full
  // line, some terminals clear its last character.
  std::string text = "\x1b[H";
  const size_t shown = std::min(lines.size(), size.rows);
  for (size_t i = 0; i < shown; ++i) {
    const std::string_view style = with_colours ? StyleText(lines[i].style) : "";
    text.append("\x1b[K").append(style).append(lines[i].text);
    if (!style.empty()) text += "\x1b[0m";
    if (i + 1 < size.rows) text += "\r\n";
  }
  if (shown < size.rows) text += "\x1b[J";
  return text;
}

}  // namespace signalbox::cli
