#include "supervisor/system/descriptor_needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limpet::supervisor {
namespace {

using testing::HasSubstr;

TEST(DescriptorNeeds, a_limit_that_is_one_too_low_is_refused_with_the_number_that_would_do) {
  const DescriptorNeeds needs{.supervisor = 300, .worker = 200};
  EXPECT_EQ(descriptor_shortage(needs, 300), "");
  const std::string why = descriptor_shortage(needs, 299);
  EXPECT_THAT(why, HasSubstr("the limit of 299 is too low"));
  EXPECT_THAT(why, HasSubstr("supervisor needs 300"));
  EXPECT_THAT(why, HasSubstr("to 300 at least"));
}

TEST(DescriptorNeeds, a_worker_without_room_for_clients_is_refused_too) {
  EXPECT_NE(descriptor_shortage({.supervisor = 10, .worker = 200}, 201), "");
}

TEST(DescriptorNeeds, grow_with_listeners_times_slots_in_the_supervisor_and_with_slots_in_a_worker) {
  const auto few = descriptor_needs(1, 8);
  const auto more = descriptor_needs(3, 256);
  EXPECT_GE(more.supervisor, few.supervisor + 3 * 256 - 8);
  EXPECT_GE(more.worker, few.worker + 3 * (256 - 8)) << "inboxes and doorbells";
}

TEST(DescriptorNeeds, of_the_clients_of_a_worker_limits_connections_are_the_most) {
  const DescriptorNeeds needs{.supervisor = 0, .worker = 200};
  EXPECT_EQ(clients_of_worker(needs, 1'000'000, 100), 100u);
  EXPECT_EQ(clients_of_worker(needs, 1000, 100'000), 800u);
  EXPECT_EQ(clients_of_worker(needs, 100, 100'000), 0u);
}

}  // namespace
}  // namespace limpet::supervisor
