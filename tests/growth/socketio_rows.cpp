// Rooms, acknowledgements, names, packets, timers and handlers of the Socket.IO server.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/growth/colliding.h"
#include "tests/growth/growth.h"
#include "tests/growth/order.h"
#include "tests/worker/socketio/world.h"
#include "worker/socketio/json_scan.h"

namespace limpet::growth {
namespace {

using namespace std::chrono_literals;
using socketio::Client;
using socketio::World;

/// Clients who all join "/", with handles to their sockets.
struct Party : World {
  explicit Party(std::size_t count) {
    io.on_connection([this](Socket& socket) { sockets.push_back(socket); });
    for (std::size_t i = 0; i < count; ++i) clients.push_back(join());
  }
  /// Turns, for work that is spread over several.
  void settle() {
    for (int i = 0; i < 8; ++i) application.tick(test::plenty());
  }
  std::vector<Socket> sockets;
  std::vector<Client> clients;
};

std::string room(std::size_t number) { return "room " + std::to_string(number); }

void join_rooms(const Socket& socket, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) socket.join(room(i));
}

// ---- rooms

void join_n_rooms(std::size_t n) {
  Party party(1);
  counted([&] { join_rooms(party.sockets[0], n); });
  EXPECT_EQ(party.sockets[0].rooms().size(), n + 1) << "its own among them";
}

void join_again(std::size_t n) {
  Party party(1);
  join_rooms(party.sockets[0], n);
  counted([&] { join_rooms(party.sockets[0], n); });
  EXPECT_EQ(party.sockets[0].rooms().size(), n + 1);
}

template <Order kOrder>
void leave_n_rooms(std::size_t n) {
  Party party(2);
  for (const Socket& socket : party.sockets) join_rooms(socket, n);
  const auto order = numbers(n, kOrder);
  counted([&] {
    for (const std::size_t number : order) party.sockets[0].leave(room(number));
  });
  EXPECT_EQ(party.sockets[0].rooms().size(), 1u);
  EXPECT_EQ(party.sockets[1].rooms().size(), n + 1);
}

/// Two in the same n rooms, and one ends.
void end_in_n_rooms(std::size_t n) {
  Party party(2);
  for (const Socket& socket : party.sockets) join_rooms(socket, n);
  counted([&] {
    party.clients[0].close();
    party.settle();
  });
  EXPECT_FALSE(party.sockets[0].connected());
  EXPECT_EQ(party.sockets[1].rooms().size(), n + 1);
  party.io.to(room(n / 2)).emit("e");
  EXPECT_EQ(party.clients[1].heard().size(), 1u);
}

void move_with_n_rooms(std::size_t n) {
  Party from(1);
  Party to(0);
  join_rooms(from.sockets[0], n);
  socketio::FakeSession arrived("GET / HTTP/1.1\r\n\r\n");
  counted([&] {
    EXPECT_TRUE(to.server.arrive(arrived, from.server.depart(from.clients[0].session())));
    to.server.announce_arrival(arrived);
  });
  EXPECT_EQ(to.sockets.at(0).rooms().size(), n + 1);
  to.server.on_close(arrived, engineio::CloseReason::TransportClose);
}

void n_members_of_a_room(std::size_t n) {
  Party party(n);
  counted([&] {
    for (const Socket& socket : party.sockets) socket.join("r");
    for (const std::size_t number : numbers(n, Order::Random)) party.sockets[number].leave("r");
  });
  EXPECT_EQ(party.sockets.front().rooms().size(), 1u);
}

void n_sockets_end(std::size_t n) {
  Party party(n);
  for (const Socket& socket : party.sockets) socket.join("r");
  counted([&] {
    for (const std::size_t number : numbers(n, Order::Random)) party.clients[number].close();
    party.settle();
  });
  EXPECT_EQ(party.io.local_size(), 0u);
}

void broadcast_to_n(std::size_t n) {
  Party party(n);
  party.sockets[0].join("elsewhere");
  counted([&] { party.io.except("elsewhere").emit("e", 1); });
  EXPECT_EQ(party.clients.back().heard().size(), 1u);
}

void broadcast_to_n_rooms(std::size_t n) {
  Party party(1);
  join_rooms(party.sockets[0], n);
  auto all = party.io.to(room(0));
  for (std::size_t i = 1; i < n; ++i) all = std::move(all).to(room(i)).except(room(n + i));
  counted([&] { all.emit("e", 1); });
  EXPECT_EQ(party.clients[0].heard().size(), 1u);
}

/// As an application would write it: each value is made from a kept one.
void choose_n_rooms(std::size_t n) {
  Party party(1);
  join_rooms(party.sockets[0], n);
  counted([&] {
    auto all = party.io.to(room(0));
    for (std::size_t i = 1; i < n; ++i) all = all.to(room(i));
    for (std::size_t i = 0; i < n; ++i) all = all.except(room(n + i));
    all.emit("e", 1);
  });
  EXPECT_EQ(party.clients[0].heard().size(), 1u);
}

void colliding_rooms(std::size_t n) {
  EXPECT_EQ(std::hash<std::string_view>()(colliding_name(1)),
            std::hash<std::string_view>()(colliding_name(2)))
      << "this library hashes in another way: the names must be made anew";
  Party party(1);
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) party.sockets[0].join(colliding_name(i));
  });
  EXPECT_EQ(party.sockets[0].rooms().size(), n + 1);
}

// ---- acknowledgements

template <Order kOrder>
void answer_n(std::size_t n) {
  Party party(1);
  std::size_t answered = 0;
  for (std::size_t i = 0; i < n; ++i) party.sockets[0].emit("q", [&answered] { ++answered; });
  const auto order = numbers(n, kOrder);
  counted([&] {
    for (const std::size_t number : order) party.clients[0].say("3" + std::to_string(number) + "[]");
  });
  EXPECT_EQ(answered, n);
}

void give_up_n_answers(std::size_t n) {
  Party party(1);
  std::size_t given_up = 0;
  for (std::size_t i = 0; i < n; ++i)
    party.sockets[0].timeout(1h).emit("q",
                                      [&given_up](std::optional<Error> error) { given_up += error ? 1 : 0; });
  counted([&] {
    party.clients[0].close();
    party.settle();
  });
  EXPECT_EQ(given_up, n);
}

void n_answers_time_out(std::size_t n) {
  Party party(1);
  std::size_t given_up = 0;
  for (std::size_t i = 0; i < n; ++i)
    party.sockets[0].timeout(1s).emit("q",
                                      [&given_up](std::optional<Error> error) { given_up += error ? 1 : 0; });
  counted([&] {
    party.advance(2s);
    party.settle();
  });
  EXPECT_EQ(given_up, n);
}

void n_answers_of_moved_sockets(std::size_t n) {
  Party party(1);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < n; ++i)
    party.sockets[0].timeout(1h).emit("q", [&moved](std::optional<Error> error) { moved += error ? 1 : 0; });
  (void)party.server.depart(party.clients[0].session());
  EXPECT_EQ(party.server.awaited_replies(), n);
  counted([&] {
    party.server.give_up_moved_replies();
    party.server.forget_moved();
    party.settle();
  });
  EXPECT_EQ(moved, n);
}

/// The application keeps the answers to n events of a client, and gives them later.
void n_kept_acks(std::size_t n) {
  Party party(1);
  std::vector<Ack> kept;
  party.sockets[0].on("q", [&kept](Ack ack) { kept.push_back(std::move(ack)); });
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) party.clients[0].say("2" + std::to_string(i) + R"(["q"])");
    for (const std::size_t number : numbers(n, Order::Random)) kept[number]("yes");
  });
  EXPECT_EQ(party.clients[0].heard().size(), n);
}

// ---- packets

void n_arguments(std::size_t n) {
  Party party(1);
  std::size_t sum = 0;
  party.sockets[0].on("e", [&sum](const Args& args) {
    for (std::size_t i = 0; i < args.size(); ++i) sum += args.get<std::size_t>(i).value_or(0);
  });
  std::string packet = R"(2["e")";
  for (std::size_t i = 0; i < n; ++i) packet += ",1";
  packet += "]";
  counted([&] { party.clients[0].say(packet); });
  EXPECT_EQ(sum, n);
}

/// An array of n elements, objects in objects among them, as deep as may be.
void n_json_values(std::size_t n) {
  Party party(1);
  std::size_t got = 0;
  party.sockets[0].on("e", [&got](const boost::json::array& values) { got = values.size(); });
  const std::string deep = std::string(30, '[') + R"({"key":"ü\u00fc"})" + std::string(30, ']');
  std::string packet = R"(2["e",[0)";
  for (std::size_t i = 1; i < n; ++i) packet += i % 32 == 0 ? "," + deep : std::string(",1.5");
  packet += "]]";
  counted([&] { party.clients[0].say(packet); });
  EXPECT_EQ(got, n);
}

/// Deeper than is allowed: refused, wherever the end is.
void json_of_depth_n(std::size_t n) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text += std::string(60, '[') + std::string(60, ']') + ",";
  text = "[" + text + std::string(n, '[');
  socketio::ElementList elements;
  bool right = true;
  counted([&] { right = socketio::scan_array(text, elements); });
  EXPECT_FALSE(right);
}

void n_escapes(std::size_t n) {
  std::string inside;
  for (std::size_t i = 0; i < n; ++i) inside += R"(\ud800\n\ud83d\ude00)";
  std::string text, mended;
  counted([&] {
    text = socketio::unescape(inside);
    mended = socketio::without_lone_surrogates("\"" + inside + "\"");
  });
  EXPECT_EQ(text.size(), n * 8);
  EXPECT_GE(mended.size(), inside.size());
}

/// Attachments are few, but each may be named again and again: that is refused, wherever it is noticed.
void n_placeholders(std::size_t n) {
  Party party(1);
  std::string packet = R"(51-["e")";
  for (std::size_t i = 0; i < n; ++i) packet += R"(,{"_placeholder":true,"num":0})";
  packet += "]";
  counted([&] {
    party.clients[0].say(packet);
    party.clients[0].bytes("x");
  });
  EXPECT_TRUE(party.clients[0].closed_by_server());
}

void n_events(std::size_t n) {
  Party party(1);
  std::size_t got = 0;
  party.sockets[0].on("e", [&got] { ++got; });
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) party.clients[0].say(R"(2["e",1])");
  });
  EXPECT_EQ(got, n);
}

// ---- handlers, namespaces, timers

void n_handlers_of_an_event(std::size_t n) {
  Party party(1);
  std::size_t calls = 0;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) party.sockets[0].on("e", [&calls] { ++calls; });
    party.clients[0].say(R"(2["e"])");
    party.sockets[0].off("e");
  });
  EXPECT_EQ(calls, n);
}

void n_handlers_that_run_once(std::size_t n) {
  Party party(1);
  std::size_t calls = 0;
  for (std::size_t i = 0; i < n; ++i) party.sockets[0].once("e", [&calls] { ++calls; });
  counted([&] { party.clients[0].say(R"(2["e"])"); });
  party.clients[0].say(R"(2["e"])");
  EXPECT_EQ(calls, n);
}

/// Each for another event, of which each comes once, and whose handlers go one by one.
void handlers_of_n_events(std::size_t n) {
  Party party(1);
  std::size_t calls = 0;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) party.sockets[0].on(room(i), [&calls] { ++calls; });
    for (std::size_t i = 0; i < n; ++i) party.clients[0].say("2[\"" + room(i) + "\"]");
    for (std::size_t i = 0; i < n; ++i) party.sockets[0].off(room(i));
  });
  EXPECT_EQ(calls, n);
}

/// One client in all of an application's namespaces.
void n_namespaces(std::size_t n) {
  Party party(0);
  for (std::size_t i = 0; i < n; ++i) party.io.of("/" + std::to_string(i));
  party.clients.push_back(party.open());
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) party.clients[0].say("0/" + std::to_string(i) + ",");
    party.clients[0].close();
    party.settle();
  });
  EXPECT_EQ(party.clients[0].heard().size(), n);
}

void n_never_connect(std::size_t n) {
  Party party(0);
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) party.clients.push_back(party.open());
    party.advance(socketio::Options{}.connect_timeout + 1s);
    party.settle();
  });
  EXPECT_TRUE(party.clients.back().closed_by_server());
}

/// Those whose time to connect runs come from elsewhere in any order.
void n_unconnected_arrive(std::size_t n) {
  Party party(0);
  std::vector<std::unique_ptr<socketio::FakeSession>> sessions;
  for (std::size_t i = 0; i < n; ++i)
    sessions.push_back(std::make_unique<socketio::FakeSession>("GET / HTTP/1.1\r\n\r\n"));
  const auto order = numbers(n, Order::Random);
  counted([&] {
    for (const std::size_t number : order) {
      socketio::ClientImage image;
      image.connect_timer = std::chrono::milliseconds(number);
      EXPECT_TRUE(party.server.arrive(*sessions[number], image));
    }
  });
  for (const auto& session : sessions) party.server.on_close(*session, engineio::CloseReason::TransportClose);
}

void n_timers(std::size_t n) {
  Party party(0);
  std::size_t ran = 0;
  std::vector<TimerId> timers;
  const auto order = numbers(n, Order::Random);
  counted([&] {
    for (const std::size_t number : order)
      timers.push_back(party.io.after(std::chrono::milliseconds(number), [&ran] { ++ran; }));
    for (std::size_t i = 0; i < n; i += 2) party.io.cancel(timers[i]);
    party.advance(std::chrono::milliseconds(n));
    party.settle();
  });
  EXPECT_EQ(ran, n / 2);
}

}  // namespace

Rows socketio_rows() {
  return {
      {"join_rooms", 1024, join_n_rooms},
      {"join_rooms_again", 1024, join_again},
      {"leave_rooms_in_order", 1024, leave_n_rooms<Order::AsMade>},
      {"leave_rooms_in_reverse", 1024, leave_n_rooms<Order::Reverse>},
      {"leave_rooms_at_random", 1024, leave_n_rooms<Order::Random>},
      {"end_in_rooms", 1024, end_in_n_rooms},
      {"move_with_rooms", 1024, move_with_n_rooms},
      {"room_members", 512, n_members_of_a_room},
      {"sockets_end", 512, n_sockets_end},
      {"broadcast_to_members", 512, broadcast_to_n},
      {"broadcast_to_rooms", 1024, broadcast_to_n_rooms},
      {"rooms_chosen_one_by_one", 1024, choose_n_rooms},
      {"rooms_that_collide", 512, colliding_rooms},
      {"answers_in_order", 1024, answer_n<Order::AsMade>},
      {"answers_in_reverse", 1024, answer_n<Order::Reverse>},
      {"answers_at_random", 1024, answer_n<Order::Random>},
      {"answers_given_up", 1024, give_up_n_answers},
      {"answers_time_out", 1024, n_answers_time_out},
      {"answers_of_moved_sockets", 1024, n_answers_of_moved_sockets},
      {"acks_kept_by_application", 1024, n_kept_acks},
      {"arguments", 1000, n_arguments},
      {"json_values", 2048, n_json_values},
      {"json_depth", 2048, json_of_depth_n},
      {"json_escapes", 2048, n_escapes},
      {"placeholders", 512, n_placeholders},
      {"events", 2048, n_events},
      {"handlers_of_one_event", 1024, n_handlers_of_an_event},
      {"handlers_that_run_once", 1024, n_handlers_that_run_once},
      {"handlers_of_many_events", 512, handlers_of_n_events},
      {"namespaces_of_one_client", 512, n_namespaces},
      {"clients_that_never_connect", 512, n_never_connect},
      {"unconnected_clients_arrive", 512, n_unconnected_arrive},
      {"timers", 1024, n_timers},
  };
}

}  // namespace limpet::growth
