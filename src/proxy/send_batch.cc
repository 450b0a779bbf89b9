#include "proxy/send_batch.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace signalbox::proxy {
namespace {

// Below it, gathering by copy is cheaper than one more part for the kernel to look at.
constexpr size_t kReferredBytesMin = 2 << 10;

}  // namespace

bool SendBatch::HasRoom() const {
  // Two: nghttp2 sends frame after frame of payload, and asks before each of them alone; the frame of another kind that
  // may follow is simply there.
  constexpr size_t kFrames = 2;
  constexpr size_t kFrameWithHeaderBytesMax = kFrameBytesMax + 64;
  return parts_ + kFrames * kFramePartsMax <= kPartsMax &&
         buffer_used_ + kFrames * kFrameWithHeaderBytesMax <= kLargeBlockBytes;
}

void SendBatch::AppendCopy(std::string_view data) {
  if (data.empty()) return;
  if (!buffer_) buffer_ = BlockRef(memory_->large_blocks().Take());
  char* end = buffer_->bytes() + buffer_used_;
  std::memcpy(end, data.data(), data.size());
  buffer_used_ += data.size();
  bytes_ += data.size();
  if (last_is_in_buffer_) {
    iovecs_[parts_ - 1].iov_len += data.size();
    return;
  }
  iovecs_[parts_++] = {.iov_base = end, .iov_len = data.size()};
  last_is_in_buffer_ = true;
}

void SendBatch::Append(Piece piece) {
  // Without a block nobody promises that the bytes outlive the batch.
  if (piece.size < kReferredBytesMin || !piece.block) return AppendCopy({piece.data, piece.size});
  bytes_ += piece.size;
  iovecs_[parts_] = {.iov_base = const_cast<char*>(piece.data), .iov_len = piece.size};
  blocks_[parts_++] = std::move(piece.block);
  last_is_in_buffer_ = false;
}

SendBatch::Result SendBatch::Send(int socket) {
  while (first_ < parts_) {
    msghdr message{};
    message.msg_iov = &iovecs_[first_];
    message.msg_iovlen = parts_ - first_;
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? Result::kSocketFull : Result::kFailed;
    }
    auto left = static_cast<size_t>(sent);
    bytes_ -= left;
    for (; first_ < parts_ && left >= iovecs_[first_].iov_len; ++first_) {
      left -= iovecs_[first_].iov_len;
      blocks_[first_] = BlockRef();
    }
    if (left > 0) {
      iovecs_[first_].iov_base = static_cast<char*>(iovecs_[first_].iov_base) + left;
      iovecs_[first_].iov_len -= left;
      return Result::kSocketFull;
    }
  }
  Reset();
  return Result::kAllSent;
}

void SendBatch::Reset() {
  buffer_ = BlockRef();
  buffer_used_ = bytes_ = first_ = parts_ = 0;
  last_is_in_buffer_ = false;
}

}  // namespace signalbox::proxy
