// Headers that are RFC 8941 dictionaries: `country=US, device=tv`.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"

namespace signalbox::proxy {

// One pass over a dictionary, member by member. Values are tokens, strings without escapes (one with escapes would have
// to be copied), integers, decimals, booleans or inner lists of these; parameters are refused. A version may stand
// without quotes, 4.2.1, which the RFC knows no type for. Errors are INVALID_ARGUMENT and name the header, the column,
// what was expected there, and the example.
class DictionaryReader {
 public:
  // `example` is what a dictionary of this header looks like. All three live as long as the reader.
  DictionaryReader(std::string_view header, std::string_view text, std::string_view example)
      : header_(header), text_(text), example_(example) {}

  bool done();

  struct Member {
    std::string_view key;  // part of the text
    // Part of the text, but for booleans: "true" for ?1 and for a key alone, "false" for ?0. Of an inner list what is
    // between its parentheses.
    std::string_view value;
    // Where the value stands, or the key where it is alone: part of the text, for Refuse.
    std::string_view place;
    bool is_list = false;
    bool is_boolean = false;
  };
  // Not when done.
  absl::Status Read(Member& member);

  // The next item of an inner list of `member`, which was read last: empty when there is none left.
  absl::Status ReadItem(Member& member, std::string_view& item);

  // That this is not what is expected at `place`, which must be a part of the text.
  absl::Status Refuse(std::string_view place, std::string_view expected) const;

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void SkipSpaces();
  absl::Status ReadKey(std::string_view& key);
  absl::Status ReadValue(Member& member);
  absl::Status ReadScalar(std::string_view& value);
  absl::Status ReadString(std::string_view& value);
  absl::Status ReadNumber();
  absl::Status ReadList(std::string_view& value);
  absl::Status ReadSeparator();
  absl::Status RefuseHere(std::string_view expected) const { return Refuse(text_.substr(at_), expected); }

  std::string_view header_;
  std::string_view text_;
  std::string_view example_;
  size_t at_ = 0;
};

}  // namespace signalbox::proxy
