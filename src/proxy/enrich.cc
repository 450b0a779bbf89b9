#include "proxy/enrich.h"

#include <algorithm>
#include <cstring>

namespace signalbox::proxy {
namespace {

constexpr uint64_t kMessageBytesMax = 0xFFFFFFFF;

}  // namespace

size_t MessageEnricher::Move(BodyReader& from, BodyQueue& to, size_t bytes_wanted, bool& overflow) {
  const size_t before = from.bytes();
  if (suffix_.empty()) {
    if (to.bytes() < bytes_wanted) from.MoveTo(to, std::min(from.bytes(), bytes_wanted - to.bytes()));
    return before - from.bytes();
  }
  while (!from.empty() && to.bytes() < bytes_wanted) {
    if (message_left_ > 0) {
      const size_t moved = std::min<uint64_t>({message_left_, from.bytes(), bytes_wanted - to.bytes()});
      from.MoveTo(to, moved);
      message_left_ -= moved;
    } else {
      const std::string_view front = from.Front();
      const size_t taken = std::min(front.size(), prefix_.size() - prefix_bytes_);
      std::memcpy(&prefix_[prefix_bytes_], front.data(), taken);
      prefix_bytes_ = static_cast<uint8_t>(prefix_bytes_ + taken);
      from.Drop(taken);
      if (prefix_bytes_ < prefix_.size()) continue;
      prefix_bytes_ = 0;
      if (!OnPrefix(to)) {
        overflow = true;
        break;
      }
    }
    if (message_left_ == 0 && !compressed_) to.AppendStatic(suffix_);
  }
  return before - from.bytes();
}

bool MessageEnricher::OnPrefix(BodyQueue& to) {
  compressed_ = prefix_[0] != 0;
  for (size_t i = 1; i < prefix_.size(); ++i) message_left_ = message_left_ << 8 | static_cast<uint8_t>(prefix_[i]);
  uint64_t bytes = message_left_ + (compressed_ ? 0 : suffix_.size());
  if (bytes > kMessageBytesMax) return false;
  for (size_t i = prefix_.size(); i-- > 1; bytes >>= 8) prefix_[i] = static_cast<char>(bytes);
  to.AppendCopy({prefix_.data(), prefix_.size()});
  return true;
}

}  // namespace signalbox::proxy
