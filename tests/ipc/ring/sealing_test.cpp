// That only one process ever writes a ring is the kernel's word, not ours (R1).
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/ipc/ring/kit.h"

namespace limpet::ipc::test {
namespace {

int try_to_map_writable(int descriptor) {
  void* address = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) return errno;
  ::munmap(address, 4096);
  return 0;
}

class RingSealing : public ::testing::Test {
 protected:
  RingWriter writer = RingWriter::create(kWriter, small_ring());
  TestReader reader{{1, 1, 21}, kLanes};
  std::string why;
};

TEST_F(RingSealing, lets_nobody_map_a_ring_or_a_reader_page_writable) {
  EXPECT_EQ(try_to_map_writable(writer.descriptor()), EPERM);
  EXPECT_EQ(try_to_map_writable(reader.page.descriptor()), EPERM);
}

TEST_F(RingSealing, holds_for_a_descriptor_that_is_opened_anew) {
  const std::string path = "/proc/self/fd/" + std::to_string(writer.descriptor());
  base::Descriptor again(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(again);
  EXPECT_EQ(try_to_map_writable(again.get()), EPERM);
}

TEST_F(RingSealing, refuses_writes_other_lengths_and_other_seals) {
  EXPECT_EQ(::pwrite(writer.descriptor(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(writer.descriptor(), 0), -1);
  EXPECT_EQ(::ftruncate(writer.descriptor(), 1 << 24), -1);
  EXPECT_EQ(::fcntl(writer.descriptor(), F_ADD_SEALS, F_SEAL_WRITE), -1);
}

TEST_F(RingSealing, leaves_the_writer_its_own_mapping) {
  ASSERT_TRUE(introduce(writer, reader, &why));
  ASSERT_TRUE(reader.attach(writer.descriptor(), kWriter));
  ASSERT_EQ(writer.publish(bytes_of("still written")), PublishResult::Published);
  reader.poll();
  EXPECT_EQ(reader.sink.messages, std::vector<std::string>{"still written"});
}

TEST_F(RingSealing, makes_a_reader_refuse_memory_that_could_shrink_under_it) {
  base::Descriptor unsealed(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), 1 << 20), 0);
  EXPECT_FALSE(Mapping::map_read_only(unsealed, 4096, &why));
  EXPECT_EQ(why, "shared memory: not sealed (seals 0)");
  ASSERT_EQ(::fcntl(unsealed.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  EXPECT_FALSE(Mapping::map_ring_read_only(unsealed, kRingHeaderBytes, &why)) << "others could write it";
}

TEST_F(RingSealing, makes_a_reader_refuse_memory_that_is_too_short) {
  const Mapping page = Mapping::create("short", 4096);
  EXPECT_TRUE(Mapping::map_read_only(duplicate(page.descriptor()), 4096, &why));
  EXPECT_FALSE(Mapping::map_read_only(duplicate(page.descriptor()), 4097, &why));
  EXPECT_EQ(why, "shared memory: 4096 bytes, wanted pages of at least 4097");
  EXPECT_FALSE(Mapping::map_ring_read_only(duplicate(page.descriptor()), kRingHeaderBytes, &why));
}

TEST_F(RingSealing, makes_a_reader_refuse_what_is_no_memory_at_all) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const base::Descriptor one(ends[0]);
  const base::Descriptor other(ends[1]);
  EXPECT_FALSE(Mapping::map_read_only(one, 4096, &why));
  EXPECT_EQ(why, "shared memory: not a memfd");
}

TEST_F(RingSealing, makes_a_reader_refuse_the_ring_or_page_of_somebody_else) {
  EXPECT_FALSE(reader.attach(writer.descriptor(), {0, 0, 8}));
  EXPECT_EQ(reader.why, "ring: belongs to another incarnation");
  EXPECT_FALSE(reader.attach(reader.page.descriptor(), kWriter));
  EXPECT_FALSE(ReaderPageView::map(duplicate(reader.page.descriptor()), {1, 1, 22}, &why));
  EXPECT_EQ(why, "reader page: belongs to generation 21");
  EXPECT_FALSE(ReaderPageView::map(duplicate(writer.descriptor()), kWriter, &why));
}

TEST_F(RingSealing, leaves_nothing_behind_when_the_last_one_lets_go) {
  const auto open_descriptors = [] {
    int count = 0;
    for (int number = 0; number < 256; ++number) count += ::fcntl(number, F_GETFD) != -1 ? 1 : 0;
    return count;
  };
  const int before = open_descriptors();
  for (int i = 0; i < 200; ++i) {
    RingWriter one = RingWriter::create(kWriter, small_ring());
    TestReader other({1, 1, 21}, kLanes);
    ASSERT_TRUE(introduce(one, other, &why));
    ASSERT_TRUE(other.attach(one.descriptor(), kWriter));
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace limpet::ipc::test
