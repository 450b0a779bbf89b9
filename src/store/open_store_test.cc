// Which stores can be named on a command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "store/store.h"

namespace signalbox::store {
namespace {

using ::testing::HasSubstr;

TEST(OpenStore, ASpecOfAnotherKindIsRefusedWithAnExample) {
  for (const char* spec : {"", "store.db", "sqlite:", "sqlite::memory:", "memory:"}) {
    absl::Status status = OpenStore(spec, OpenMode::kCreateIfMissing).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << spec;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("for example sqlite:/var/lib/signalbox/store.db"));
  }
}

}  // namespace
}  // namespace signalbox::store
