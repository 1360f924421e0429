// Indices are used again, epochs never: a handle of one that is gone finds nothing.
#include "worker/socketio/socket_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

namespace limpet::socketio {
namespace {

struct SocketTableTest : testing::Test {
  static SocketState socket_named(char name, NamespaceState* nsp = nullptr) {
    SocketState socket;
    std::fill(socket.id.begin(), socket.id.end(), name);
    socket.nsp = nsp;
    return socket;
  }
  SocketTable table;
};

TEST_F(SocketTableTest, AnIndexIsUsedAgainAndAnEpochNever) {
  SocketState first = socket_named('a');
  table.give_index(first);
  EXPECT_EQ(table.find(first.index, first.epoch), nullptr) << "it has an index, and cannot be found yet";
  table.add(first);
  EXPECT_EQ(table.find(first.index, first.epoch), &first);
  EXPECT_TRUE(table.has(first));
  table.remove(first);
  EXPECT_FALSE(table.has(first));
  SocketState second = socket_named('b');
  table.give_index(second);
  table.add(second);
  EXPECT_EQ(second.index, first.index);
  EXPECT_EQ(table.find(first.index, first.epoch), nullptr);
  EXPECT_EQ(table.find(second.index, second.epoch), &second);
  EXPECT_EQ(&table.at(second.index), &second);
}

TEST_F(SocketTableTest, AnIndexCanBeTakenFromOneThatWasNeverAdded) {
  SocketState early = socket_named('a');
  table.give_index(early);
  table.take_index(early);
  SocketState next = socket_named('b');
  table.give_index(next);
  EXPECT_EQ(next.index, early.index);
  EXPECT_NE(next.epoch, early.epoch);
}

TEST_F(SocketTableTest, AnIdIsFoundInItsOwnNamespace) {
  NamespaceState here;
  NamespaceState there;
  SocketState socket = socket_named('a', &here);
  table.give_index(socket);
  table.add(socket);
  const std::string_view id = view_of(socket.id);
  EXPECT_EQ(table.find_connected(here, id), nullptr) << "it is not connected";
  table.add_id(socket);
  EXPECT_EQ(table.find_connected(here, id), &socket);
  EXPECT_EQ(table.find_connected(there, id), nullptr);
  EXPECT_EQ(table.find_connected(here, "a"), nullptr);
  table.remove_id(socket);
  EXPECT_EQ(table.find_connected(here, id), nullptr);
}

TEST_F(SocketTableTest, EveryoneThatCanBeFoundIsVisitedOnce) {
  std::vector<SocketState> sockets;
  for (char name = 'a'; name < 'f'; ++name) sockets.push_back(socket_named(name));
  for (SocketState& socket : sockets) {
    table.give_index(socket);
    table.add(socket);
  }
  table.remove(sockets[2]);
  std::string seen;
  table.for_each([&](const SocketState& socket) { seen += socket.id.front(); });
  EXPECT_EQ(seen, "abde");
}

TEST_F(SocketTableTest, ContradictionsEndTheProcess) {
  SocketState socket = socket_named('a');
  table.give_index(socket);
  EXPECT_DEATH((void)table.at(socket.index), "socket 0: is not there");
  EXPECT_DEATH((void)table.at(7), "socket 7: is not there");
  EXPECT_DEATH(table.remove(socket), "that is not there");
  table.add(socket);
  EXPECT_DEATH(table.add(socket), "two sockets have one index");
  EXPECT_DEATH(table.take_index(socket), "can be found");
}

}  // namespace
}  // namespace limpet::socketio
