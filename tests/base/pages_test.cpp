#include "base/pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <numeric>
#include <string>
#include <vector>

namespace limpet::base {
namespace {

constexpr std::size_t kBytes = std::size_t{4} << 20;

/// Memory of this process that no page was ever behind.
class Pages : public ::testing::Test {
 protected:
  void SetUp() override {
    memory_ = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
    ::madvise(memory_, kBytes, MADV_NOHUGEPAGE);
  }
  void TearDown() override { ::munmap(memory_, kBytes); }
  [[nodiscard]] std::size_t resident() const {
    std::vector<unsigned char> pages(kBytes / 4096);
    ::mincore(memory_, kBytes, pages.data());
    return static_cast<std::size_t>(std::accumulate(
        pages.begin(), pages.end(), 0, [](int sum, unsigned char page) { return sum + (page & 1); }));
  }
  [[nodiscard]] char* at(std::size_t byte) const { return static_cast<char*>(memory_) + byte; }

  void* memory_ = nullptr;
};

TEST_F(Pages, AreThereBeforeTheyAreWritten) {
  make_resident(at(0), kBytes);
  EXPECT_EQ(resident(), kBytes / 4096) << "Linux before 5.14 does not do this";
}

TEST_F(Pages, OnlyThoseThatLieWhollyInTheMemory) {
  make_resident(at(100), kWorthMakingResident);
  EXPECT_LE(resident(), kWorthMakingResident / 4096 - 1);
}

TEST_F(Pages, LittleMemoryIsNotWorthACall) {
  make_resident(at(0), kWorthMakingResident - 1);
  EXPECT_EQ(resident(), 0u);
}

TEST(PagesOfOthers, AreAnErrorThatNobodyHearsOf) {
  errno = 0;
  make_resident(nullptr, kBytes);
  prefer_huge_pages(nullptr, 4 * kBytes);
  EXPECT_EQ(errno, 0);
}

TEST(ReserveResident, KeepsWhatIsThereAndHasRoom) {
  std::string text(200'000, 'a');
  reserve_resident(text, 1'000'000);
  EXPECT_GE(text.capacity(), 1'000'000u);
  EXPECT_EQ(text, std::string(200'000, 'a'));
  reserve_resident(text, 10);
  EXPECT_EQ(text.size(), 200'000u) << "nothing becomes smaller";
  std::vector<char> bytes(10, 'b');
  reserve_resident(bytes, 300'000);
  make_resident_ahead(bytes, 290'000);
  bytes.resize(300'000, 'c');
  EXPECT_EQ(bytes[9], 'b');
  EXPECT_EQ(bytes[10], 'c');
}

}  // namespace
}  // namespace limpet::base
