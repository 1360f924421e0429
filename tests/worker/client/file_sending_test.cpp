#include <sys/mman.h>

#include "tests/worker/client/clients_kit.h"

namespace limpet::client {
namespace {

using namespace test;

/// An open file with that content, of which `promised` bytes are to be sent.
loop::FileRange file_of(std::string_view content, std::uint64_t promised) {
  const int file = base::require(::memfd_create("file", MFD_CLOEXEC), "make a file");
  EXPECT_EQ(::pwrite(file, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  return {loop::OpenFile(file), 0, promised};
}

class FileSending : public ClientsTest {
 protected:
  FileSending() : content_(pattern(3'000'000)) {}

  loop::FileRange file() { return file_of(content_, content_.size()); }
  std::string everything(Peer& peer) {
    return everything_for(peer, [this] { turn(); });
  }

  std::string content_;
};

TEST_F(FileSending, KeepsTheOrderOfWhatIsQueued) {
  auto [connection, peer] = connect(recorder_);
  connection->send(buffer("head"));
  connection->send_file(file());
  connection->send(buffer("between"));
  connection->send_file(file());
  connection->send(buffer("tail"));
  const std::string got = everything(peer);
  EXPECT_EQ(got.size(), 2 * content_.size() + 15);
  EXPECT_TRUE(got == "head" + content_ + "between" + content_ + "tail");
  EXPECT_EQ(connection->unsent_bytes(), 0u);
  EXPECT_EQ(count(ipc::Counter::BytesOut), got.size());
}

TEST_F(FileSending, SendsTheSameOverTcp) {
  auto [ours, theirs] = tcp_pair();
  ClientConnection* const connection = adopt(std::move(ours), recorder_);
  Peer peer(std::move(theirs));
  connection->send(buffer("head"));
  connection->send_file(file());
  std::string got;
  const auto all = [&] {
    got += peer.read();
    return got.size() >= content_.size() + 4;
  };
  EXPECT_TRUE(turn_until(all, peer.descriptor()));
  EXPECT_TRUE(got == "head" + content_);
}

TEST_F(FileSending, SendsAPart) {
  auto [connection, peer] = connect(recorder_);
  loop::FileRange range = file();
  range.offset = 1000;
  range.length = 500;
  connection->send_file(std::move(range));
  EXPECT_EQ(everything(peer), content_.substr(1000, 500));
}

TEST_F(FileSending, HoldsNothingInMemoryOfWhatAClientDoesNotTake) {
  auto [connection, peer] = connect(recorder_);
  connection->send(buffer("head"));
  connection->send_file(file());
  turn();
  EXPECT_LE(connection->unsent_bytes(), 1u);
  EXPECT_FALSE(connection->can_travel());
  EXPECT_TRUE(everything(peer) == "head" + content_);
  EXPECT_TRUE(connection->can_travel());
}

TEST_F(FileSending, EndsWithAFileThatIsShorterThanWasPromised) {
  auto [connection, peer] = connect(recorder_);
  connection->send(buffer("head"));
  connection->send_file(file_of("short", 10));
  connection->send(buffer("the next answer"));
  EXPECT_EQ(everything(peer), "headshort");
  EXPECT_TRUE(peer.at_end());
  EXPECT_EQ(recorder_.closed, std::vector<int>{EIO});
}

TEST_F(FileSending, SendsAFileToItsEndBeforeItFinishes) {
  auto [connection, peer] = connect(recorder_);
  connection->send_file(file());
  connection->finish();
  EXPECT_TRUE(everything(peer) == content_);
  EXPECT_TRUE(peer.at_end());
}

TEST_F(FileSending, ClosesTheFilesOfAClientThatGoesAway) {
  auto [connection, peer] = connect(recorder_);
  loop::FileRange range = file();
  const int descriptor = range.file.descriptor();
  connection->send_file(std::move(range));
  turn();
  EXPECT_NE(::fcntl(descriptor, F_GETFD), -1);
  peer.close();
  EXPECT_TRUE(turn_until([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(::fcntl(descriptor, F_GETFD), -1);
}

TEST_F(FileSending, HasOneFileOpenForRequestsThatCameTogether) {
  std::size_t asked = 0;
  recorder_.act = [&](loop::Stream& stream, std::span<char> bytes) {
    std::size_t consumed = 0;
    for (; consumed < bytes.size() && stream.may_go_on(); ++consumed, ++asked) stream.send_file(file());
    return consumed;
  };
  auto [connection, peer] = connect(recorder_);
  EXPECT_EQ(peer.write("???"), 3u);
  turn();
  turn();
  EXPECT_EQ(asked, 1u);
  EXPECT_TRUE(everything(peer) == content_ + content_ + content_);
  EXPECT_EQ(asked, 3u);
}

}  // namespace
}  // namespace limpet::client
