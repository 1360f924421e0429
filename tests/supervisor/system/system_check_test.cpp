#include "supervisor/system/system_check.h"

#include <gmock/gmock.h>

namespace limpet::supervisor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1024 * 1024;

TEST(SystemCheck, has_nothing_against_no_limits) { EXPECT_EQ(objection_to({}, 256, 1024 * kMiB), ""); }

TEST(SystemCheck, refuses_a_limit_on_files_below_a_ring) {
  EXPECT_THAT(objection_to({.file_bytes = 16 * kMiB}, 1, 16 * kMiB),
              AllOf(HasSubstr("ulimit -f"), HasSubstr("is 16777216 bytes, and a ring has 16842752")));
  EXPECT_EQ(objection_to({.file_bytes = 17 * kMiB}, 256, 16 * kMiB), "");
}

TEST(SystemCheck, refuses_a_limit_on_addresses_below_what_the_rings_need) {
  EXPECT_THAT(objection_to({.address_bytes = 190 * kMiB}, 2, 16 * kMiB), HasSubstr("ulimit -v"));
  EXPECT_EQ(objection_to({.address_bytes = 193 * kMiB}, 2, 16 * kMiB), "");
  EXPECT_THAT(objection_to({.address_bytes = 193 * kMiB}, 3, 16 * kMiB), HasSubstr("beside 2 others"));
}

TEST(SystemCheck, finds_what_it_needs_here) { EXPECT_NO_THROW(require_kernel_interfaces()); }

}  // namespace
}  // namespace limpet::supervisor
