// What the server asks of an application, without one: through NamespaceHandlers and nothing else.
#include "worker/socketio/namespace_handlers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/worker/plenty.h"
#include "tests/worker/socketio/world.h"
#include "worker/loop/timer_queue.h"

namespace limpet::socketio {
namespace {

using namespace std::chrono_literals;

struct Told final : NamespaceHandlers {
  std::optional<Error> admit(const SocketHandle& socket) noexcept override {
    note("admit", socket);
    if (on_admit) on_admit(socket);
    return refusal;
  }
  void connected(const SocketHandle& socket) noexcept override {
    note("connected", socket);
    if (on_connected) on_connected(socket);
  }
  void leaving(const SocketHandle& socket) noexcept override { note("leaving", socket); }
  void run(const Handler& handler, Call& call, std::string_view name) noexcept override {
    note("run " + std::string(name), call.socket);
    (void)handler.invoke(call);
  }
  void note(const std::string& what, const SocketHandle& socket) {
    calls.push_back(what + " " + std::string(1, socket.id.front()));
  }
  Texts take() { return std::exchange(calls, {}); }

  Texts calls;
  std::optional<Error> refusal;
  std::function<void(const SocketHandle&)> on_admit;
  std::function<void(const SocketHandle&)> on_connected;
};

/// Counts its calls, and how often it was destroyed.
struct Counting {
  Handler handler() {
    ++made;
    return {&kType, this};
  }
  static bool invoke(void* object, Call& call) {
    auto& self = *static_cast<Counting*>(object);
    ++self.calls;
    self.arguments = call.args.size();
    self.error = call.error == nullptr ? "" : call.error->message;
    return true;
  }
  static void destroy(void* object) noexcept { --static_cast<Counting*>(object)->made; }
  static constexpr HandlerType kType{&Counting::invoke, &Counting::destroy};

  int made = 0;
  int calls = 0;
  std::size_t arguments = 0;
  std::string error;
};

struct Bare : testing::Test {
  Bare() {
    auto owned = std::make_unique<Told>();
    told = owned.get();
    server.add_namespace("/", std::move(owned));
  }

  loop::Clock clock;
  loop::TimerQueue timers;
  char next_id = 'a';
  Told* told = nullptr;
  Server server{clock, timers, {}, [this](std::span<char, base::kIdBytes> id) {
                  std::fill(id.begin(), id.end(), next_id++);
                }};
};

TEST_F(Bare, ANamespaceIsFoundByItsWholeName) {
  EXPECT_EQ(server.find_namespace("/")->name, "/");
  EXPECT_EQ(server.find_namespace("/admin"), nullptr);
  NamespaceState& added = server.add_namespace("/admin", std::make_unique<Told>());
  EXPECT_EQ(server.find_namespace("/admin"), &added);
  EXPECT_EQ(server.find_namespace("admin"), nullptr);
}

TEST_F(Bare, AClientIsAdmittedAndThenConnected) {
  Client client(server, "");
  client.say("0");
  EXPECT_EQ(told->take(), (Texts{"admit a", "connected a"}));
  EXPECT_EQ(client.heard(), (Texts{R"(0{"sid":"aaaaaaaaaaaaaaaaaaaa"})"}));
  server.announce_departure(client.session());
  EXPECT_EQ(told->take(), (Texts{"leaving a"}));
}

TEST_F(Bare, OneThatIsRefusedIsToldWhyAndForgotten) {
  told->refusal = Error{"not \xff now"};
  Client client(server, "");
  client.say("0");
  EXPECT_EQ(told->take(), (Texts{"admit a"}));
  EXPECT_EQ(client.heard(), (Texts{"4{\"message\":\"not \xef\xbf\xbd now\"}"}));
  EXPECT_EQ(server.find(0, 1), nullptr);
}

TEST_F(Bare, OneThatIsDisconnectedWhileItIsAdmittedIsAnsweredNoMore) {
  told->on_admit = [this](const SocketHandle& socket) {
    server.disconnect(*server.find(socket.index, socket.epoch), false);
  };
  Client client(server, "");
  client.say("0");
  EXPECT_EQ(told->take(), (Texts{"admit a"}));
  EXPECT_EQ(client.heard(), (Texts{"1"}));
}

TEST_F(Bare, HandlersAreRunByTheApplicationAndDestroyedByTheServer) {
  Counting handler;
  told->on_connected = [&](const SocketHandle& socket) {
    server.handlers().add(*server.find(socket.index, socket.epoch), "e", handler.handler(), false);
  };
  Client client(server, "");
  client.say("0").say(R"(2["e",1,2])").say(R"(2["other"])");
  EXPECT_EQ(told->take(), (Texts{"admit a", "connected a", "run e a"}));
  EXPECT_EQ(handler.calls, 1);
  EXPECT_EQ(handler.arguments, 2u);
  EXPECT_EQ(handler.made, 1);
  client.close();
  EXPECT_EQ(handler.made, 0);
}

TEST_F(Bare, AReplyThatDoesNotComeIsATimerOfWhoeverRunsTheQueue) {
  Counting reply;
  Client client(server, "");
  client.say("0");
  EXPECT_EQ(server.replies().expect(*server.find(0, 1), reply.handler(), 5s), 0u);
  EXPECT_EQ(timers.next_deadline(), clock.now() + 5s);
  clock.advance_to(clock.now() + 5s);
  server.tick(test::plenty());
  EXPECT_EQ(reply.calls, 0) << "the server runs no timers";
  timers.run_due(clock.now(), test::plenty(), [](const std::function<void()>& task) { task(); });
  EXPECT_EQ(reply.calls, 1);
  EXPECT_EQ(reply.error, "operation has timed out");
}

// Not inlined: GCC 12 takes the counts that it can foresee for uses of freed memory.
[[gnu::noinline]] AckRef new_ack() { return AckRef(new AckState{nullptr, 7, 0, 1, 1, false}); }
[[gnu::noinline]] std::uint32_t references_with(const AckRef& ack, AckRef copy) {
  EXPECT_EQ(ack.get(), copy.get());
  AckRef assigned;
  assigned = copy;
  return ack.get()->references;
}

TEST(AckRef, IsCountedByItsCopies) {
  const AckRef ack = new_ack();
  EXPECT_EQ(references_with(ack, ack), 3u);
  EXPECT_EQ(ack.get()->references, 1u) << "the copies are gone";
  EXPECT_EQ(AckRef().get(), nullptr);
}

TEST(NamespacesDeathTest, AreAddedOnceAndWithHandlers) {
  loop::Clock clock;
  loop::TimerQueue timers;
  Server server(clock, timers, {}, [](std::span<char, base::kIdBytes>) {});
  server.add_namespace("/", std::make_unique<Told>());
  EXPECT_DEATH(server.add_namespace("/", std::make_unique<Told>()), "namespace /: is there already");
  EXPECT_DEATH(server.add_namespace("/a", nullptr), "namespace /a: has no handlers");
}

}  // namespace
}  // namespace limpet::socketio
