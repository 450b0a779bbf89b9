// What is about to be written to a socket: small parts gathered in one buffer, large ones referred to, all sent by one
// system call.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <string_view>

#include "proxy/body_queue.h"
#include "proxy/worker_memory.h"

namespace signalbox::proxy {

// For one thread. Holds memory only while there is something to send.
class SendBatch {
 public:
  explicit SendBatch(WorkerMemory& memory) : memory_(&memory) {}
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  bool empty() const { return first_ == parts_; }
  size_t bytes() const { return bytes_; }
  // Whether one more frame of at most `kFrameBytesMax`, in at most kFramePartsMax parts, fits.
  bool HasRoom() const;

  void AppendCopy(std::string_view data);
  void Append(Piece piece);

  enum class Result { kAllSent, kSocketFull, kFailed };
  // Sends as much as the socket takes. kFailed: errno says why.
  Result Send(int socket);

  static constexpr size_t kFrameBytesMax = 16 << 10;

 private:
  static constexpr size_t kPartsMax = 256;
  // A frame of payload has its header, and pieces of at least a block's remainder each.
  static constexpr size_t kFramePartsMax = 40;

  void Reset();

  WorkerMemory* memory_;
  BlockRef buffer_;
  size_t buffer_used_ = 0;
  size_t bytes_ = 0;
  size_t first_ = 0;  // the first part that is not sent
  size_t parts_ = 0;
  bool last_is_in_buffer_ = false;
  std::array<iovec, kPartsMax> iovecs_;
  std::array<BlockRef, kPartsMax> blocks_;
};

}  // namespace signalbox::proxy
