#include "base/rfc3339.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace signalbox {
namespace {

// Takes what it reads off the front. What is not there makes everything after it fail.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  int Digits(size_t count) {
    int number = 0;
    for (size_t i = 0; i < count; ++i) number = number * 10 + Digit();
    return number;
  }

  void Expect(char expected) {
    if (rest_.empty() || rest_.front() != expected)
      good_ = false;
    else
      rest_.remove_prefix(1);
  }

  bool TakeIf(char expected) {
    if (rest_.empty() || rest_.front() != expected) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // ".5" is 500; nothing is 0.
  int Milliseconds() {
    if (!TakeIf('.')) return 0;
    int milliseconds = Digit() * 100;
    for (int unit = 10; HasDigit(); unit /= 10) milliseconds += Digit() * unit;
    return milliseconds;
  }

  void Fail() { good_ = false; }
  bool IsGoodEnd() const { return good_ && rest_.empty(); }

 private:
  bool HasDigit() const { return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; }

  int Digit() {
    if (!HasDigit()) {
      good_ = false;
      return 0;
    }
    const int digit = rest_.front() - '0';
    rest_.remove_prefix(1);
    return digit;
  }

  std::string_view rest_;
  bool good_ = true;
};

int ZoneMinutes(Cursor& cursor) {
  if (cursor.TakeIf('Z')) return 0;
  const bool is_west = cursor.TakeIf('-');
  if (!is_west) cursor.Expect('+');
  const int hours = cursor.Digits(2);
  cursor.Expect(':');
  const int minutes = cursor.Digits(2);
  if (hours > 23 || minutes > 59) cursor.Fail();
  return (hours * 60 + minutes) * (is_west ? -1 : 1);
}

}  // namespace

std::optional<int64_t> ParseRfc3339(std::string_view text) {
  using namespace std::chrono;
  Cursor cursor(text);
  const year a_year(cursor.Digits(4));
  cursor.Expect('-');
  const month a_month(static_cast<unsigned>(cursor.Digits(2)));
  cursor.Expect('-');
  const day a_day(static_cast<unsigned>(cursor.Digits(2)));
  cursor.Expect('T');
  const int hour = cursor.Digits(2);
  cursor.Expect(':');
  const int minute = cursor.Digits(2);
  cursor.Expect(':');
  const int second = cursor.Digits(2);
  const int millisecond = cursor.Milliseconds();
  const int zone_minutes = ZoneMinutes(cursor);
  const year_month_day date(a_year, a_month, a_day);
  // A leap second is the last of its minute here, as on clocks that know none.
  const bool is_time = hour < 24 && minute < 60 && second <= 60;
  if (!cursor.IsGoodEnd() || !date.ok() || !is_time) return std::nullopt;
  const auto time = sys_days(date) + hours(hour) + minutes(minute - zone_minutes) + seconds(std::min(second, 59)) +
                    milliseconds(millisecond);
  const int64_t unix_ms = duration_cast<milliseconds>(time.time_since_epoch()).count();
  if (unix_ms < 0) return std::nullopt;
  return unix_ms;
}

std::string Rfc3339(int64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> time{milliseconds(unix_ms)};
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss<milliseconds> clock(time - day);
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (clock.subseconds().count() != 0) text += fmt::format(".{:03}", clock.subseconds().count());
  return text + "Z";
}

}  // namespace signalbox
