// Reads just enough of a gRPC body to append to its messages safely: where each message begins and ends, that its
// top-level structure of tags and lengths ends exactly where the message does, and, where asked for, the text of one
// field.
//
// Why the structure: a message that ends inside a length-delimited field is invalid, but bytes appended to it would
// make it valid again and be swallowed by that field. The contents of fields are never looked at.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::proxy {

// How deep groups, an old form of nesting that readers still must skip, may go: protobuf's own limit.
inline constexpr size_t kGroupDepthMax = 100;
// An Objective's name.
inline constexpr size_t kNameBytesMax = 256;

// Walks the body of one direction of one stream, in whatever parts it arrives. Allocation-free, O(fields).
class MessageWalk {
 public:
  // Begins a body. `name_field`: number of the string field whose value is wanted; 0 for none.
  void Start(uint32_t name_field);

  // INVALID_ARGUMENT says what is wrong with the body, which then must not be forwarded any further.
  absl::Status Read(std::string_view data);
  // To be called at the end of the body: it must not end inside a message.
  absl::Status End() const;

  // The value of the wanted field as soon as it is whole, in the first message that has it. Empty until then. Every
  // later one must be the same.
  std::string_view name() const { return {name_.data(), name_known_ ? name_size_ : 0}; }
  // A compressed message came: its content was not looked at.
  bool met_compressed() const { return met_compressed_; }
  // Messages of which the last byte was read.
  uint64_t messages() const { return messages_; }

 private:
  enum class State : uint8_t { kPrefix, kTag, kVarint, kLength, kSkip, kName, kOpaque };

  absl::Status ReadPrefix(std::string_view& data);
  absl::Status ReadStructure(std::string_view& data);
  // True when the varint is complete in varint_.
  absl::StatusOr<bool> ReadVarint(std::string_view& data);
  absl::Status OnTag();
  absl::Status OnLength();
  absl::Status OnNameEnd();
  absl::Status EndMessageIfDone();
  absl::Status Refuse(std::string_view what) const;

  uint32_t name_field_ = 0;
  State state_ = State::kPrefix;
  bool met_compressed_ = false;
  bool name_known_ = false;
  uint8_t prefix_bytes_ = 0;
  uint8_t varint_bytes_ = 0;
  uint8_t depth_ = 0;
  std::array<char, 5> prefix_;
  uint64_t varint_ = 0;
  uint64_t message_left_ = 0;  // bytes of the message that were not read yet
  uint64_t message_bytes_ = 0;
  uint64_t field_left_ = 0;
  uint64_t messages_ = 0;
  uint32_t field_ = 0;
  uint32_t name_size_ = 0;
  uint32_t candidate_size_ = 0;
  std::array<uint32_t, kGroupDepthMax> groups_;
  std::array<char, kNameBytesMax> name_;
  std::array<char, kNameBytesMax> candidate_;
};

}  // namespace signalbox::proxy
