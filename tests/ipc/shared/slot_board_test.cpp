#include "ipc/shared/slot_board.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "ipc/shared/bucket_table.h"

namespace limpet::ipc {
namespace {

base::Descriptor sent(int descriptor) { return base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); }

TEST(SlotBoard, ShowsAWorkerWhatTheSupervisorHasWritten) {
  SlotBoard board = SlotBoard::create(3);
  std::string why;
  const auto seen = SlotBoard::map(sent(board.descriptor()), &why);
  ASSERT_TRUE(seen) << why;
  EXPECT_EQ(seen->slots(), 3);
  EXPECT_TRUE(seen->takes_part(2));
  EXPECT_EQ(seen->sessions(2), 0u);
  const auto edition = seen->edition();
  board.set_takes_part(2, false);
  board.set_sessions(2, 70'000);
  board.publish();
  EXPECT_FALSE(seen->takes_part(2));
  EXPECT_TRUE(seen->takes_part(1));
  EXPECT_EQ(seen->sessions(2), 70'000u);
  EXPECT_EQ(seen->edition(), edition + 1);
}

TEST(SlotBoard, IsTakenForNothingElse) {
  std::string why;
  EXPECT_FALSE(SlotBoard::map(sent(BucketTable::create(3).descriptor()), &why));
  EXPECT_NE(why, "");
}

TEST(SlotBoardDeathTest, AWorkerCannotWriteIt) {
  SlotBoard board = SlotBoard::create(1);
  std::string why;
  auto seen = SlotBoard::map(sent(board.descriptor()), &why);
  ASSERT_TRUE(seen);
  EXPECT_DEATH(seen->set_takes_part(0, false), "S1");
  EXPECT_DEATH(seen->set_sessions(0, 1), "S1");
  EXPECT_DEATH(seen->publish(), "S1");
  EXPECT_DEATH((void)seen->takes_part(1), "1 names no slot");
}

}  // namespace
}  // namespace limpet::ipc
