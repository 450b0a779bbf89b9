#include "proxy/send_batch.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/worker_memory.h"

namespace signalbox::proxy {
namespace {

// nghttp2 asks for room before each frame of payload; what it says of its own behind one comes without a question.
TEST(SendBatch, BehindTheLastFrameOfPayloadThatFitsThereIsRoomForOneOfHeaders) {
  WorkerMemory memory;
  SendBatch batch(memory);
  constexpr size_t kFrameHeaderBytes = 9;
  constexpr size_t kPaddingLengthBytes = 1;
  const std::string frame(kFrameHeaderBytes + SendBatch::kFrameBytesMax, 'x');
  size_t frames = 0;
  for (; batch.HasRoom(); ++frames) batch.AppendCopy(frame);
  EXPECT_GE(frames, 4U);
  EXPECT_LE(batch.bytes() + frame.size() + kPaddingLengthBytes, kLargeBlockBytes);
}

}  // namespace
}  // namespace signalbox::proxy
