#include "cli/send/live_text.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string_view>

namespace signalbox::cli {
namespace {

// Where the terminal does not say.
constexpr size_t kColumnsDefault = 80;

size_t Columns(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kColumnsDefault;
  return size.ws_col;
}

// The first `columns` characters of UTF-8 text whose characters are one column wide each.
std::string_view Cut(std::string_view line, size_t columns) {
  for (size_t i = 0, characters = 0; i < line.size(); ++i) {
    const bool begins_character = (line[i] & 0xc0) != 0x80;
    if (begins_character && characters++ == columns) return line.substr(0, i);
  }
  return line;
}

}  // namespace

LiveText::LiveText(std::FILE* out) : out_(out), is_terminal_(isatty(fileno(out)) == 1) {}

void LiveText::Replace(const std::string& lines) {
  if (!is_terminal_) {
    fmt::print(out_, "{}", lines);
    std::fflush(out_);
    return;
  }
  std::string screen;
  if (shown_lines_ > 0) screen = fmt::format("\033[{}F\033[J", shown_lines_);
  shown_lines_ = 0;
  // One column is left free: terminals differ in what happens after the last.
  const size_t columns = Columns(out_) - 1;
  for (size_t at = 0; at < lines.size();) {
    size_t end = lines.find('\n', at);
    if (end == std::string::npos) end = lines.size();
    screen += Cut(std::string_view(lines).substr(at, end - at), columns);
    screen += '\n';
    ++shown_lines_;
    at = end + 1;
  }
  fmt::print(out_, "{}", screen);
  std::fflush(out_);
}

}  // namespace signalbox::cli
