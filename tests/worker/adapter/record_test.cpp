#include "worker/adapter/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "worker/websocket/frame.h"

namespace limpet::adapter {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using websocket::make_frame;
using websocket::Opcode;

/// A broadcast with storage of its own.
struct Emit {
  std::string nsp = "/";
  std::vector<std::string_view> rooms;
  std::vector<std::string_view> except;
  bool is_volatile = false;
  std::vector<loop::Buffer> frames{make_frame(Opcode::Text, R"(42["chat",1])")};

  [[nodiscard]] socketio::Broadcast view() const {
    return {.nsp = nsp, .rooms = rooms, .except = except, .is_volatile = is_volatile, .frames = frames};
  }
};

std::vector<std::byte> record_of(const Emit& emit) {
  RecordWriter writer;
  std::vector<std::byte> bytes;
  for (const auto part : writer.write(emit.view())) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

Emit full_emit() {
  Emit emit;
  emit.nsp = "/admin";
  emit.rooms = {"lobby", "", "a room with a longer name"};
  emit.except = {"AAAAAAAAAAAAAAAAAAAA"};
  emit.is_volatile = true;
  emit.frames = {make_frame(Opcode::Text, R"(451-["file",{"_placeholder":true,"num":0}])"),
                 make_frame(Opcode::Binary, std::string("\0\xff\x80", 3)), make_frame(Opcode::Binary, "")};
  return emit;
}

TEST(Record, CarriesEverythingOfABroadcast) {
  const Emit emit = full_emit();
  const auto bytes = record_of(emit);
  RecordReader reader;
  const auto* read = reader.read(bytes);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->nsp, "/admin");
  EXPECT_THAT(read->rooms, ElementsAre("lobby", "", "a room with a longer name"));
  EXPECT_THAT(read->except, ElementsAre("AAAAAAAAAAAAAAAAAAAA"));
  EXPECT_TRUE(read->is_volatile);
  ASSERT_EQ(read->frames.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(read->frames[i].view(), emit.frames[i].view()) << i;
}

TEST(Record, CarriesABroadcastToEverybody) {
  RecordReader reader;
  const auto bytes = record_of(Emit{});
  const auto* read = reader.read(bytes);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->nsp, "/");
  EXPECT_THAT(read->rooms, IsEmpty());
  EXPECT_THAT(read->except, IsEmpty());
  EXPECT_FALSE(read->is_volatile);
  ASSERT_EQ(read->frames.size(), 1u);
  EXPECT_EQ(read->frames[0].payload(), R"(42["chat",1])");
}

TEST(Record, IsAsLongAsItsHeaderSays) {
  EXPECT_EQ(record_of(Emit{}).size(), 8u + (2 + 1) + 5 + 12);
  Emit emit;
  emit.rooms = {"abc"};
  emit.except = {"d"};
  EXPECT_EQ(record_of(emit).size(), 8u + (2 + 1) + (2 + 3) + (2 + 1) + 5 + 12);
}

TEST(Record, AReaderIsGoodForAnyNumber) {
  RecordReader reader;
  const auto long_one = record_of(full_emit());
  const auto short_one = record_of(Emit{});
  ASSERT_NE(reader.read(long_one), nullptr);
  const auto* read = reader.read(short_one);
  ASSERT_NE(read, nullptr);
  EXPECT_THAT(read->rooms, IsEmpty());
  EXPECT_EQ(read->frames.size(), 1u);
  EXPECT_EQ(reader.read({}), nullptr);
  EXPECT_NE(reader.read(long_one), nullptr) << "a bad one spoils nothing";
}

TEST(Record, ANameMayHave65535Bytes) {
  const std::string longest(65535, 'n');
  Emit emit;
  emit.rooms = {longest};
  const auto bytes = record_of(emit);
  RecordReader reader;
  const auto* read = reader.read(bytes);
  ASSERT_NE(read, nullptr);
  EXPECT_THAT(read->rooms, ElementsAre(longest));
}

TEST(Record, ANameOfMoreThan65535BytesMakesNone) {
  const std::string too_long(65536, 'n');
  for (const int where : {0, 1, 2}) {
    Emit emit;
    if (where == 0) emit.nsp = too_long;
    if (where == 1) emit.rooms = {"fine", too_long};
    if (where == 2) emit.except = {too_long};
    EXPECT_THAT(record_of(emit), IsEmpty()) << where;
  }
}

TEST(Record, SixtyFiveThousandRoomsFitOneMoreDoesNot) {
  Emit emit;
  emit.rooms.assign(65535, "r");
  RecordReader reader;
  const auto bytes = record_of(emit);
  const auto* read = reader.read(bytes);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->rooms.size(), 65535u);
  emit.rooms.emplace_back("r");
  EXPECT_THAT(record_of(emit), IsEmpty());
}

TEST(Record, NoTruncationIsARecord) {
  const auto bytes = record_of(full_emit());
  RecordReader reader;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // A copy of exactly this size, so that a sanitizer sees a read beyond it.
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(reader.read(cut), nullptr) << size;
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_EQ(reader.read(longer), nullptr);
}

TEST(Record, OfAnotherKindOrOpcodeIsNone) {
  RecordReader reader;
  auto bytes = record_of(Emit{});
  bytes[0] = std::byte{2};
  EXPECT_EQ(reader.read(bytes), nullptr);
  bytes = record_of(Emit{});
  for (int opcode = 0; opcode < 256; ++opcode) {
    bytes[8 + 3] = static_cast<std::byte>(opcode);
    EXPECT_EQ(reader.read(bytes) != nullptr, opcode == 1 || opcode == 2) << opcode;
  }
}

TEST(Record, WithoutAFrameIsNone) {
  Emit emit;
  emit.frames.clear();
  RecordReader reader;
  EXPECT_EQ(reader.read(record_of(emit)), nullptr);
}

/// Touches everything that a broadcast points to.
std::size_t weigh(const socketio::Broadcast& broadcast) {
  std::size_t sum = 0;
  const auto add = [&sum](std::string_view bytes) {
    for (const char byte : bytes) sum += static_cast<unsigned char>(byte);
  };
  add(broadcast.nsp);
  for (const auto room : broadcast.rooms) add(room);
  for (const auto room : broadcast.except) add(room);
  for (const auto& frame : broadcast.frames) add(frame.view());
  return sum;
}

TEST(Record, AHundredThousandMutationsAreReadOrRefused) {
  std::mt19937 random(20261121);
  const std::vector<std::vector<std::byte>> seeds{record_of(full_emit()), record_of(Emit{})};
  RecordReader reader;
  std::size_t refused = 0;
  std::size_t weight = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::vector<std::byte> bytes = seeds[random() % seeds.size()];
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<std::byte>(random());
          break;
        case 1:
          bytes[at] ^= static_cast<std::byte>(1u << (random() % 8));
          break;
        case 2:
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::byte>(random()));
          break;
        default:
          if (bytes.size() > 1) bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
    bytes.shrink_to_fit();
    if (const auto* read = reader.read(bytes)) {
      ASSERT_FALSE(read->frames.empty());
      weight += weigh(*read);
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10'000u);
  EXPECT_LT(refused, 100'000u) << "changes inside names and payloads are records still";
  EXPECT_GT(weight, 0u);
}

}  // namespace
}  // namespace limpet::adapter
