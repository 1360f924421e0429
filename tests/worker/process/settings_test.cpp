#include "worker/process/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "supervisor/options/options.h"
#include "supervisor/options/settings.h"

namespace limpet::process {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

std::string complaint_about(std::string_view json) {
  try {
    (void)parse_settings(json);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "none";
}

TEST(Settings, AnEmptyObjectGivesTheDefaults) {
  const Settings parsed = parse_settings("{}");
  const Settings defaults;
  EXPECT_TRUE(parsed.listen.empty());
  EXPECT_EQ(parsed.heartbeat_interval, 2500ms);
  EXPECT_EQ(parsed.engineio.path, "/socket.io/");
  EXPECT_EQ(parsed.engineio.ping_interval, 25s);
  EXPECT_EQ(parsed.engineio.max_payload_bytes, 1'000'000u);
  EXPECT_TRUE(parsed.engineio.polling);
  EXPECT_TRUE(parsed.engineio.websocket);
  EXPECT_EQ(parsed.limits.header_bytes, defaults.limits.header_bytes);
  EXPECT_EQ(parsed.ring.capacity_bytes, defaults.ring.capacity_bytes);
  EXPECT_TRUE(parsed.app.empty());
}

TEST(Settings, AnApplicationAloneHasTheDefaultsOfACluster) {
  const supervisor::Options options = supervisor::load_options({}).options;
  const Settings told = parse_settings(supervisor::settings_json(options, options.listen, 0));
  Settings alone;
  alone.limits.memory_bytes = told.limits.memory_bytes;  // of this machine
  EXPECT_EQ(told.engineio, alone.engineio);
  EXPECT_EQ(told.connect_timeout, alone.connect_timeout);
  EXPECT_EQ(told.limits, alone.limits);
  EXPECT_EQ(told.ring, alone.ring);
  EXPECT_EQ(told.heartbeat_interval, alone.heartbeat_interval);
  EXPECT_EQ(told.placement, alone.placement);
}

TEST(Settings, EveryKeyReachesItsMember) {
  const Settings parsed = parse_settings(R"({
    "listen": ["tcp://0.0.0.0:3000", "tcp://[::]:3000"], "heartbeat_interval_ms": 1,
    "socketio": {"path": "/chat", "ping_interval_ms": 2, "ping_timeout_ms": 3, "upgrade_timeout_ms": 4,
                 "connect_timeout_ms": 5, "max_payload_bytes": 6, "transports": ["websocket"]},
    "limits": {"header_bytes": 7, "header_timeout_ms": 8, "body_timeout_ms": 9, "idle_timeout_ms": 10,
               "send_queue_bytes": 11},
    "listeners": [{"header_timeout_ms": 15, "body_timeout_ms": 16, "idle_timeout_ms": 17, "proxy_protocol": true,
                   "trusted": ["10.0.0.0/8", "unix"], "address_header": "forwarded"}, {}],
    "placement": "least-connections", "placement_seed": 18446744073709551615,
    "ring": {"capacity_bytes": 12, "lap_after_ms": 13, "deferred_bytes": 14},
    "app": {"room": "lobby"}})");
  EXPECT_THAT(parsed.listen, ElementsAre("tcp://0.0.0.0:3000", "tcp://[::]:3000"));
  EXPECT_EQ(parsed.heartbeat_interval, 1ms);
  EXPECT_EQ(parsed.placement_seed, 18446744073709551615u);
  EXPECT_EQ(parsed.engineio.path, "/chat/");
  EXPECT_EQ(parsed.engineio.ping_interval, 2ms);
  EXPECT_EQ(parsed.engineio.ping_timeout, 3ms);
  EXPECT_EQ(parsed.engineio.upgrade_timeout, 4ms);
  EXPECT_EQ(parsed.connect_timeout, 5ms);
  EXPECT_EQ(parsed.engineio.max_payload_bytes, 6u);
  EXPECT_FALSE(parsed.engineio.polling);
  EXPECT_TRUE(parsed.engineio.websocket);
  EXPECT_EQ(parsed.limits.header_bytes, 7u);
  EXPECT_EQ(parsed.limits.header_timeout, 8ms);
  EXPECT_EQ(parsed.limits.body_timeout, 9ms);
  EXPECT_EQ(parsed.limits.idle_timeout, 10ms);
  EXPECT_EQ(parsed.limits.send_queue_bytes, 11u);
  ASSERT_EQ(parsed.listeners.size(), 2u);
  EXPECT_EQ(parsed.listeners[0].header_timeout, 15ms);
  EXPECT_EQ(parsed.listeners[0].body_timeout, 16ms);
  EXPECT_EQ(parsed.listeners[0].idle_timeout, 17ms);
  EXPECT_TRUE(parsed.listeners[0].proxy_protocol);
  EXPECT_EQ(parsed.listeners[0].trusted.size(), 2u);
  EXPECT_EQ(parsed.listeners[0].address_header, client::AddressHeader::Forwarded);
  EXPECT_EQ(parsed.listeners[1].header_timeout, 8ms) << "the common one";
  EXPECT_FALSE(parsed.listeners[1].proxy_protocol);
  EXPECT_EQ(client::unknown_listener(parsed.limits).idle_timeout, 10ms) << "of a listener that nobody knows";
  EXPECT_EQ(parsed.placement, slot::PlacementRule::LeastConnections);
  EXPECT_EQ(parsed.ring.capacity_bytes, 12u);
  EXPECT_EQ(parsed.ring.lap_after, 13ms);
  EXPECT_EQ(parsed.ring.deferred_bytes, 14u);
  EXPECT_EQ(parsed.app.at("room").as_string(), "lobby");
}

TEST(Settings, AValueOfTheWrongKindIsNamed) {
  EXPECT_EQ(complaint_about(R"({"listen": 1})"), "settings: listen: wants an array of strings");
  EXPECT_EQ(complaint_about(R"({"listen": [1]})"), "settings: listen: wants an array of strings");
  EXPECT_EQ(complaint_about(R"({"heartbeat_interval_ms": "1"})"),
            "settings: heartbeat_interval_ms: wants a number that is not negative");
  EXPECT_EQ(complaint_about(R"({"app": []})"), "settings: app: wants an object");
  EXPECT_EQ(complaint_about(R"({"placement": "x"})"),
            "settings: placement: wants address or least-connections");
  EXPECT_EQ(complaint_about(R"({"listeners": {}})"), "settings: listeners: wants an array of objects");
  EXPECT_EQ(complaint_about(R"({"listeners": [1]})"), "settings: listeners: wants an array of objects");
  EXPECT_EQ(complaint_about(R"({"listeners": [{"proxy_protocol": 1}]})"),
            "settings: listeners.proxy_protocol: wants true or false");
  EXPECT_THAT(complaint_about(R"({"listeners": [{"trusted": ["x"]}]})"),
              HasSubstr("settings: listeners.trusted: wants networks: 'x' is no network"));
  EXPECT_EQ(complaint_about(R"({"listeners": [{"address_header": "x"}]})"),
            "settings: listeners.address_header: wants x-forwarded-for or forwarded");
  for (const std::string section : {"socketio", "limits", "ring"}) {
    EXPECT_EQ(complaint_about("{\"" + section + "\": 1}"), "settings: " + section + ": wants an object");
  }
  EXPECT_EQ(complaint_about(R"({"socketio": {"path": 1}})"), "settings: socketio.path: wants a string");
  EXPECT_EQ(complaint_about(R"({"socketio": {"transports": "polling"}})"),
            "settings: socketio.transports: wants an array of strings");
  for (const std::string key : {"ping_interval_ms", "ping_timeout_ms", "upgrade_timeout_ms",
                                "connect_timeout_ms", "max_payload_bytes"}) {
    EXPECT_THAT(complaint_about("{\"socketio\": {\"" + key + "\": true}}"),
                HasSubstr("socketio." + key + ":"));
  }
  for (const std::string key :
       {"header_bytes", "header_timeout_ms", "body_timeout_ms", "idle_timeout_ms", "send_queue_bytes"}) {
    EXPECT_THAT(complaint_about("{\"limits\": {\"" + key + "\": null}}"), HasSubstr("limits." + key + ":"));
  }
  for (const std::string key : {"capacity_bytes", "lap_after_ms", "deferred_bytes"}) {
    EXPECT_THAT(complaint_about("{\"ring\": {\"" + key + "\": 0.5}}"), HasSubstr("ring." + key + ":"));
  }
}

TEST(Settings, ANumberOutOfRangeIsNamed) {
  EXPECT_THAT(complaint_about(R"({"limits": {"idle_timeout_ms": -1}})"), HasSubstr("limits.idle_timeout_ms"));
  EXPECT_EQ(complaint_about(R"({"limits": {"idle_timeout_ms": 31622400000}})"), "none");
  EXPECT_EQ(complaint_about(R"({"limits": {"idle_timeout_ms": 31622400001}})"),
            "settings: limits.idle_timeout_ms: wants at most a year");
  EXPECT_THAT(complaint_about(R"({"ring": {"capacity_bytes": 18446744073709551616}})"),
              HasSubstr("ring.capacity_bytes"));
}

TEST(Settings, WhatIsNoObjectIsRefused) {
  for (const std::string_view text : {"", "[]", "7", "null", "{", "{}x", "{\"listen\": }"}) {
    EXPECT_THAT(complaint_about(text), HasSubstr("settings: no JSON")) << text;
  }
}

TEST(Settings, AreReadFromTheStartOfTheInheritedMemory) {
  const base::Descriptor memory(base::require(::memfd_create("settings", MFD_CLOEXEC), "create a memfd"));
  const std::string text = R"({"socketio": {"path": "/x"}})";
  ASSERT_EQ(::write(memory.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(read_settings(memory), text) << "although the file's own position is at its end";
}

TEST(Settings, ADescriptorThatIsNoneIsNamed) {
  try {
    (void)read_settings(base::Descriptor());
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("read the inherited settings"));
  }
}

}  // namespace
}  // namespace limpet::process
