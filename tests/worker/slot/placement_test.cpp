#include "worker/slot/placement.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "ipc/shared/slot_board.h"

namespace limpet::slot {
namespace {

client::PeerAddress address(int number, std::uint16_t port = 1) {
  return client::PeerAddress::from_text("10." + std::to_string(number / 65536) + "." +
                                            std::to_string(number / 256 % 256) + "." +
                                            std::to_string(number % 256),
                                        port);
}

constexpr base::PlacementHash kHash(7);
const auto kAll = [](std::uint16_t) { return true; };

TEST(RendezvousSlot, SpreadsAddressesEvenly) {
  for (const std::uint16_t slots : {2, 3, 4, 8, 16}) {
    std::map<std::uint16_t, int> count;
    for (int i = 0; i < 4000; ++i) ++count[rendezvous_slot(address(i), kHash, slots, kAll)];
    for (std::uint16_t slot = 0; slot < slots; ++slot) {
      EXPECT_GT(count[slot] * slots, 4000 / 1.3) << slot << " of " << slots;
      EXPECT_LT(count[slot] * slots, 4000 * 1.3) << slot << " of " << slots;
    }
  }
}

TEST(RendezvousSlot, OneSlotMoreTakesItsShareAndMovesNothingElse) {
  for (const std::uint16_t slots : {1, 2, 4, 7}) {
    int moved = 0;
    for (int i = 0; i < 4000; ++i) {
      const auto before = rendezvous_slot(address(i), kHash, slots, kAll);
      const auto after = rendezvous_slot(address(i), kHash, static_cast<std::uint16_t>(slots + 1), kAll);
      if (before == after) continue;
      EXPECT_EQ(after, slots);
      ++moved;
    }
    const double share = 4000.0 / (slots + 1);
    EXPECT_NEAR(moved, share, share / 4) << slots;
  }
}

TEST(RendezvousSlot, ASlotThatIsOutGivesOnlyItsOwnAwayAndGetsThemBack) {
  for (int i = 0; i < 1000; ++i) {
    const auto before = rendezvous_slot(address(i), kHash, 4, kAll);
    const auto without = rendezvous_slot(address(i), kHash, 4, [](std::uint16_t slot) { return slot != 2; });
    EXPECT_NE(without, 2);
    if (before != 2) {
      EXPECT_EQ(without, before);
    }
  }
  EXPECT_EQ(rendezvous_slot(address(1), kHash, 4, [](std::uint16_t) { return false; }),
            rendezvous_slot(address(1), kHash, 4, kAll))
      << "nobody takes part: as if all did";
}

TEST(RendezvousSlot, IsTheAddressesWhateverItsPort) {
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(rendezvous_slot(address(i, 1), kHash, 8, kAll),
              rendezvous_slot(address(i, 999), kHash, 8, kAll));
  EXPECT_EQ(rendezvous_slot(client::PeerAddress::from_text("::ffff:10.0.0.1", 0), kHash, 8, kAll),
            rendezvous_slot(client::PeerAddress::from_text("10.0.0.1", 0), kHash, 8, kAll));
}

TEST(Placement, ByConnectionsStaysUnlessAnotherSlotHasFewerByTwo) {
  ipc::SlotBoard board = ipc::SlotBoard::create(3);
  Placement placement(&board, 0, 3, 7);
  board.set_sessions(1, 10);
  board.set_sessions(2, 10);
  board.publish();
  EXPECT_EQ(placement.by_connections(10), 0);
  EXPECT_EQ(placement.by_connections(11), 0);
  EXPECT_EQ(placement.by_connections(12), 1);
}

TEST(Placement, ByConnectionsCountsWhatItSentUntilTheBoardDoes) {
  ipc::SlotBoard board = ipc::SlotBoard::create(2);
  Placement placement(&board, 0, 2, 7);
  for (int sent = 0; sent < 9; ++sent) EXPECT_EQ(placement.by_connections(10), 1) << sent;
  EXPECT_EQ(placement.by_connections(10), 0) << "9 are there now";
  board.set_sessions(1, 5);
  board.publish();
  EXPECT_EQ(placement.by_connections(10), 1) << "the board knows better";
}

TEST(Placement, ByConnectionsSendsNobodyToASlotThatIsOut) {
  ipc::SlotBoard board = ipc::SlotBoard::create(2);
  board.set_takes_part(1, false);
  Placement placement(&board, 0, 2, 7);
  EXPECT_EQ(placement.by_connections(100), 0);
  EXPECT_FALSE(placement.takes_part(1));
}

TEST(Placement, WithoutABoardEverySlotTakesPartAndNothingMovesByLoad) {
  Placement placement(nullptr, 1, 4, 7);
  EXPECT_TRUE(placement.takes_part(3));
  EXPECT_EQ(placement.by_connections(1000), 1);
  EXPECT_EQ(placement.by_address(address(7)), rendezvous_slot(address(7), kHash, 4, kAll));
}

}  // namespace
}  // namespace limpet::slot
