#include "proxy/message_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace signalbox::proxy {
namespace {

constexpr uint64_t kVarintWire = 0;
constexpr uint64_t kFixed64Wire = 1;
constexpr uint64_t kLengthWire = 2;
constexpr uint64_t kGroupStartWire = 3;
constexpr uint64_t kGroupEndWire = 4;
constexpr uint64_t kFixed32Wire = 5;
constexpr uint8_t kVarintBytesMax = 10;
constexpr uint64_t kTagMax = 0xFFFFFFFF;

}  // namespace

void MessageWalk::Start(uint32_t name_field) {
  name_field_ = name_field;
  state_ = State::kPrefix;
  met_compressed_ = name_known_ = false;
  prefix_bytes_ = 0;
  messages_ = 0;
}

absl::Status MessageWalk::Read(std::string_view data) {
  while (!data.empty()) {
    if (state_ == State::kPrefix) {
      RETURN_IF_ERROR(ReadPrefix(data));
      continue;
    }
    // Only what belongs to this message.
    std::string_view part = data.substr(0, std::min<uint64_t>(data.size(), message_left_));
    const size_t before = part.size();
    RETURN_IF_ERROR(ReadStructure(part));
    data.remove_prefix(before - part.size());
    RETURN_IF_ERROR(EndMessageIfDone());
  }
  return absl::OkStatus();
}

absl::Status MessageWalk::End() const {
  if (state_ == State::kPrefix && prefix_bytes_ == 0) return absl::OkStatus();
  if (state_ == State::kPrefix) return Refuse("the body ends inside the 5-byte prefix of a message");
  return Refuse(fmt::format("the body ends {} bytes before the end that the message's length prefix gives ({} bytes)",
                            message_left_, message_bytes_));
}

absl::Status MessageWalk::ReadPrefix(std::string_view& data) {
  const size_t taken = std::min(data.size(), prefix_.size() - prefix_bytes_);
  std::memcpy(&prefix_[prefix_bytes_], data.data(), taken);
  prefix_bytes_ = static_cast<uint8_t>(prefix_bytes_ + taken);
  data.remove_prefix(taken);
  if (prefix_bytes_ < prefix_.size()) return absl::OkStatus();
  prefix_bytes_ = 0;
  const auto flag = static_cast<uint8_t>(prefix_[0]);
  if (flag > 1) return Refuse(fmt::format("its compression flag is {}, expected 0 or 1", flag));
  message_bytes_ = 0;
  for (size_t i = 1; i < prefix_.size(); ++i) message_bytes_ = message_bytes_ << 8 | static_cast<uint8_t>(prefix_[i]);
  message_left_ = message_bytes_;
  varint_ = varint_bytes_ = depth_ = 0;
  met_compressed_ |= flag == 1;
  state_ = flag == 1 ? State::kOpaque : State::kTag;
  return EndMessageIfDone();
}

absl::Status MessageWalk::ReadStructure(std::string_view& data) {
  const size_t before = data.size();
  auto take = [&](uint64_t bytes) {
    const size_t taken = std::min<uint64_t>(bytes, data.size());
    data.remove_prefix(taken);
    return taken;
  };
  absl::Status status;
  while (status.ok() && !data.empty()) {
    // What OnLength compares with: the bytes of the message behind those that were taken.
    switch (state_) {
      case State::kTag:
      case State::kVarint:
      case State::kLength: {
        absl::StatusOr<bool> complete = ReadVarint(data);
        if (!complete.ok()) {
          status = complete.status();
          break;
        }
        if (!*complete) break;
        const State was = state_;
        field_left_ = message_left_ - (before - data.size());  // what the message still has, for OnLength
        if (was == State::kTag) status = OnTag();
        if (was == State::kVarint) state_ = State::kTag;
        if (was == State::kLength) status = OnLength();
        varint_ = varint_bytes_ = 0;
        break;
      }
      case State::kSkip:
        field_left_ -= take(field_left_);
        if (field_left_ == 0) state_ = State::kTag;
        break;
      case State::kName: {
        const char* start = data.data();
        const size_t taken = take(field_left_);
        std::memcpy(&candidate_[candidate_size_], start, taken);
        candidate_size_ += static_cast<uint32_t>(taken);
        field_left_ -= taken;
        if (field_left_ == 0) status = OnNameEnd();
        break;
      }
      case State::kOpaque:
        take(data.size());
        break;
      case State::kPrefix:
        break;
    }
  }
  message_left_ -= before - data.size();
  return status;
}

absl::StatusOr<bool> MessageWalk::ReadVarint(std::string_view& data) {
  while (!data.empty()) {
    const auto byte = static_cast<uint8_t>(data.front());
    data.remove_prefix(1);
    if (varint_bytes_ == kVarintBytesMax - 1 && byte > 1) return Refuse("a varint of more than 64 bits");
    varint_ |= static_cast<uint64_t>(byte & 0x7F) << (7 * varint_bytes_++);
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

absl::Status MessageWalk::OnTag() {
  if (varint_ > kTagMax || varint_ >> 3 == 0)
    return Refuse(fmt::format("a tag of {}, which no field can have", varint_));
  field_ = static_cast<uint32_t>(varint_ >> 3);
  const uint64_t wire = varint_ & 7;
  const uint64_t message_has = field_left_;
  if (field_ == name_field_ && depth_ == 0 && wire != kLengthWire) {
    return Refuse(fmt::format("field {} has wire type {}, expected text", field_, wire));
  }
  switch (wire) {
    case kVarintWire:
      state_ = State::kVarint;
      return absl::OkStatus();
    case kLengthWire:
      state_ = State::kLength;
      return absl::OkStatus();
    case kFixed64Wire:
    case kFixed32Wire:
      field_left_ = wire == kFixed64Wire ? 8 : 4;
      if (field_left_ > message_has) return Refuse(fmt::format("it ends inside field {}", field_));
      state_ = State::kSkip;
      return absl::OkStatus();
    case kGroupStartWire:
      if (depth_ == kGroupDepthMax) return Refuse(fmt::format("groups nested deeper than {}", kGroupDepthMax));
      groups_[depth_++] = field_;
      return absl::OkStatus();
    case kGroupEndWire:
      if (depth_ == 0 || groups_[depth_ - 1] != field_)
        return Refuse(fmt::format("group {} ends and never began", field_));
      --depth_;
      return absl::OkStatus();
    default:
      return Refuse(fmt::format("field {} has wire type {}, which does not exist", field_, wire));
  }
}

absl::Status MessageWalk::OnLength() {
  const uint64_t message_has = field_left_;
  if (varint_ > message_has) {
    return Refuse(
        fmt::format("it ends inside field {}, which claims {} bytes where {} are left", field_, varint_, message_has));
  }
  field_left_ = varint_;
  const bool wanted = field_ == name_field_ && name_field_ != 0 && depth_ == 0;
  if (!wanted) {
    state_ = field_left_ == 0 ? State::kTag : State::kSkip;
    return absl::OkStatus();
  }
  if (field_left_ > kNameBytesMax) {
    return Refuse(fmt::format("field {}, the Objective, has {} bytes, at most {} are allowed", field_, field_left_,
                              kNameBytesMax));
  }
  candidate_size_ = 0;
  state_ = State::kName;
  return field_left_ == 0 ? OnNameEnd() : absl::OkStatus();
}

absl::Status MessageWalk::OnNameEnd() {
  state_ = State::kTag;
  const std::string_view candidate(candidate_.data(), candidate_size_);
  // A field that is not there and one that is empty mean the same.
  if (candidate.empty()) return absl::OkStatus();
  if (!name_known_) {
    name_ = candidate_;
    name_size_ = candidate_size_;
    name_known_ = true;
    return absl::OkStatus();
  }
  if (candidate == name()) return absl::OkStatus();
  return Refuse(fmt::format(
      "field {} names the Objective \"{}\", but \"{}\" was named before it and the request is on its way; one "
      "stream has one Objective",
      field_, candidate, name()));
}

absl::Status MessageWalk::EndMessageIfDone() {
  if (message_left_ > 0) return absl::OkStatus();
  if (state_ == State::kPrefix) return absl::OkStatus();
  const bool whole = state_ == State::kOpaque || (state_ == State::kTag && varint_bytes_ == 0 && depth_ == 0);
  if (!whole) return Refuse(depth_ > 0 ? "it ends inside a group" : fmt::format("it ends inside field {}", field_));
  ++messages_;
  state_ = State::kPrefix;
  return absl::OkStatus();
}

absl::Status MessageWalk::Refuse(std::string_view what) const {
  return absl::InvalidArgumentError(fmt::format("message {} of the request is malformed: {}", messages_ + 1, what));
}

}  // namespace signalbox::proxy
