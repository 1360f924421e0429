#include "worker/slot/supervisor_link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/io_context.hpp>

#include "ipc/messages/control.h"

namespace limpet::slot {
namespace {

class SupervisorLinkTest : public testing::Test {
 protected:
  SupervisorLinkTest() : SupervisorLinkTest(ipc::Channel::pair()) {}

  std::size_t heard_ = 0;
  std::vector<ipc::SupervisorMessage> maimed_;
  bool lost_ = false;
  boost::asio::io_context context_;
  ipc::Channel supervisor_;
  SupervisorLink link_;

 private:
  explicit SupervisorLinkTest(std::pair<base::Descriptor, base::Descriptor> ends)
      : supervisor_(std::move(ends.first)),
        link_(
            context_, std::move(ends.second), [this](const auto&, auto) { ++heard_; },
            [this](const ipc::SupervisorMessage& message) { maimed_.push_back(message); },
            [this] { lost_ = true; }) {}
};

/// As with a process that has opened all it may, while it lives.
class NoDescriptorLeft {
 public:
  NoDescriptorLeft() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const base::Descriptor lowest(::fcntl(0, F_DUPFD_CLOEXEC, 0));
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(lowest.get());
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptorLeft() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptorLeft(const NoDescriptorLeft&) = delete;
  NoDescriptorLeft& operator=(const NoDescriptorLeft&) = delete;

 private:
  rlimit before_{};
};

TEST_F(SupervisorLinkTest, AMessageWithoutItsDescriptorIsNotTakenForTheSupervisorsDeath) {
  const base::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = null.get();
  const ipc::SupervisorMessage order = ipc::Migrate{.window = std::chrono::milliseconds(7)};
  ASSERT_EQ(supervisor_.send(ipc::encode(order), {&number, 1}), ipc::SendStatus::Sent);
  {
    const NoDescriptorLeft full;
    link_.receive();
  }
  EXPECT_FALSE(lost_);
  EXPECT_EQ(heard_, 0u);
  ASSERT_EQ(maimed_.size(), 1u);
  ASSERT_TRUE(std::holds_alternative<ipc::Migrate>(maimed_.front()));
  EXPECT_EQ(std::get<ipc::Migrate>(maimed_.front()).window, std::chrono::milliseconds(7));

  ASSERT_EQ(supervisor_.send(ipc::encode(ipc::SupervisorMessage(ipc::TakeSeat{}))), ipc::SendStatus::Sent);
  link_.receive();
  EXPECT_EQ(heard_, 1u) << "the channel goes on";
}

TEST_F(SupervisorLinkTest, WithoutADescriptorMessagesThatBringNoneAreHeard) {
  ASSERT_EQ(supervisor_.send(ipc::encode(ipc::SupervisorMessage(ipc::GiveUpSeat{}))), ipc::SendStatus::Sent);
  const NoDescriptorLeft full;
  link_.receive();
  EXPECT_EQ(heard_, 1u);
}

}  // namespace
}  // namespace limpet::slot
