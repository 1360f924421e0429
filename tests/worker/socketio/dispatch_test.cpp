// What application code removes while it runs is freed when the outermost Dispatch ends.
#include "worker/socketio/dispatch.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>

namespace limpet::socketio {
namespace {

struct Destroyed {
  static void destroy(void* object) noexcept { (*static_cast<std::function<void()>*>(object))(); }
  static bool invoke(void*, Call&) { return true; }
  static constexpr HandlerType kType{&Destroyed::invoke, &Destroyed::destroy};
};

TEST(Dispatch, FreesWhenTheOutermostEnds) {
  Discarded discarded;
  int destroyed = 0;
  std::function<void()> count = [&] { ++destroyed; };
  const auto value = std::make_shared<const boost::json::value>(1);
  EXPECT_FALSE(discarded.is_dispatching());
  {
    const Dispatch outer(discarded);
    {
      const Dispatch inner(discarded);
      EXPECT_TRUE(discarded.is_dispatching());
      discarded.add(Handler{&Destroyed::kType, &count});
      discarded.add(value);
    }
    EXPECT_EQ(destroyed, 0);
    EXPECT_EQ(value.use_count(), 2);
  }
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(value.use_count(), 1);
  EXPECT_FALSE(discarded.is_dispatching());
}

TEST(Dispatch, WhatIsRemovedWhileFreeingIsFreedToo) {
  Discarded discarded;
  int destroyed = 0;
  std::function<void()> last = [&] { ++destroyed; };
  std::function<void()> first = [&] {
    const Dispatch again(discarded);
    discarded.add(Handler{&Destroyed::kType, &last});
  };
  {
    const Dispatch dispatch(discarded);
    discarded.add(Handler{&Destroyed::kType, &first});
  }
  EXPECT_EQ(destroyed, 1);
}

}  // namespace
}  // namespace limpet::socketio
