#include "base/descriptor_limit.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace limpet::base {
namespace {

/// A limit belongs to the process: each test has one of its own, begun with this soft limit.
void with_soft_limit(std::uint64_t soft, bool (*holds)()) {
  const auto live = [&] {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = soft;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::_exit(holds() ? 0 : 1);
  };
  EXPECT_EXIT(live(), testing::ExitedWithCode(0), "");
}

std::uint64_t hard_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max;
}

int last_number_there_is() {
  int last = -1;
  for (int number = ::open("/dev/null", O_RDONLY); number != -1; number = ::dup(number)) last = number;
  return last;
}

TEST(DescriptorLimitDeathTest, is_raised_to_the_hard_one_and_no_further_than_a_million) {
  with_soft_limit(256, [] {
    raise_descriptor_limit();
    return descriptor_limit() == std::min<std::uint64_t>(hard_limit(), kMostDescriptors);
  });
}

TEST(DescriptorLimitDeathTest, what_it_was_is_given_back_also_after_a_second_raise) {
  with_soft_limit(200, [] {
    raise_descriptor_limit();
    raise_descriptor_limit();
    return original_descriptor_limit() == 200 && give_descriptor_limit_back() && descriptor_limit() == 200;
  });
}

TEST(DescriptorLimitDeathTest, what_the_image_before_had_found_is_the_original) {
  with_soft_limit(500, [] {
    remember_descriptor_limit(200);
    raise_descriptor_limit();
    return original_descriptor_limit() == 200;
  });
}

TEST(DescriptorLimitDeathTest, of_an_image_before_that_raised_none_it_is_what_is_found) {
  with_soft_limit(500, [] {
    remember_descriptor_limit(0);
    raise_descriptor_limit();
    return original_descriptor_limit() == 500;
  });
}

TEST(DescriptorLimitDeathTest, without_a_raise_there_is_nothing_to_give_back) {
  with_soft_limit(300, [] { return give_descriptor_limit_back() && descriptor_limit() == 300; });
}

TEST(DescriptorLimitDeathTest, a_process_that_has_opened_all_it_can_has_its_reserve_left) {
  with_soft_limit(256, [] {
    set_aside_descriptors();
    const int last = last_number_there_is();
    bool in_reserve = false;
    {
      const DescriptorReserve reserve(2);
      in_reserve = ::dup(0) == last + 1 && ::dup(0) == last + 2 && ::dup(0) == -1;
    }
    return last == 256 - 64 - 1 && in_reserve && ::dup(0) == -1;
  });
}

TEST(DescriptorLimitDeathTest, where_nothing_is_set_aside_the_limit_stays_as_it_is) {
  with_soft_limit(256, [] {
    const DescriptorReserve reserve(2);
    return descriptor_limit() == 256;
  });
  with_soft_limit(100, [] {
    set_aside_descriptors();
    return descriptor_limit() == 100;
  });
}

}  // namespace
}  // namespace limpet::base
