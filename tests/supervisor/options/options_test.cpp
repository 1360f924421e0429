#include "supervisor/options/options.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <tuple>

#include "supervisor/command_line.h"
#include "supervisor/options/file.h"
#include "supervisor/options/settings.h"
#include "supervisor/options/suggestion.h"
#include "supervisor/options/table.h"
#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using namespace std::chrono_literals;

class OptionsFile : public testing::Test {
 protected:
  LoadedOptions load(const std::string& text, std::vector<GivenFlag> flags = {}) {
    std::ofstream(file_) << text;
    return load_options({file_, {}, std::move(flags), false});
  }
  /// The mistakes without the name of the file.
  std::vector<std::string> mistakes(const std::string& text) {
    std::vector<std::string> result = load(text).mistakes;
    for (std::string& each : result) {
      EXPECT_TRUE(each.starts_with(file_ + ":")) << each;
      each.erase(0, file_.size() + 1);
    }
    return result;
  }
  static GivenFlag flag(std::string_view name, std::vector<std::string> values) {
    for (std::size_t row = 0; row < option_table().size(); ++row) {
      if (option_table()[row].flag == name) return {row, std::move(values)};
    }
    ADD_FAILURE() << "no flag " << name;
    return {};
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_.path() + "/limpet.toml";
};

TEST_F(OptionsFile, an_empty_file_gives_the_defaults) {
  const LoadedOptions loaded = load("");
  EXPECT_THAT(loaded.mistakes, IsEmpty());
  EXPECT_EQ(loaded.options, load_options({}).options);
  EXPECT_EQ(loaded.options.heartbeat_interval, 2500ms);
  EXPECT_EQ(loaded.options.max_payload, 1'000'000U);
  EXPECT_THAT(loaded.options.transports, ElementsAre("polling", "websocket"));
}

TEST_F(OptionsFile, each_kind_of_value_is_read) {
  const LoadedOptions loaded = load(R"(
listen = ["tcp://127.0.0.1:1", "tcp://[::1]:2"]
workers = 3
pin = true
application = ["./app", "--fast"]
[supervision]
heartbeat_interval = "1.5s"
[socketio]
path = "/live"
transports = ["websocket"]
[ring]
capacity = "1MiB"
)");
  EXPECT_THAT(loaded.mistakes, IsEmpty());
  EXPECT_THAT(loaded.options.listen, ElementsAre("tcp://127.0.0.1:1", "tcp://[::1]:2"));
  EXPECT_EQ(loaded.options.workers, 3U);
  EXPECT_TRUE(loaded.options.pin);
  EXPECT_THAT(loaded.options.application, ElementsAre("./app", "--fast"));
  EXPECT_EQ(loaded.options.heartbeat_interval, 1500ms);
  EXPECT_EQ(loaded.options.socketio_path, "/live");
  EXPECT_THAT(loaded.options.transports, ElementsAre("websocket"));
  EXPECT_EQ(loaded.options.ring_capacity, 1U << 20);
}

TEST_F(OptionsFile, a_flag_beats_the_file) {
  const LoadedOptions loaded = load("workers = 3\nbacklog = 7\n", {flag("--workers", {"auto"})});
  EXPECT_EQ(loaded.options.workers, 0U);
  EXPECT_EQ(loaded.options.backlog, 7U);
}

TEST_F(OptionsFile, what_is_nested_too_deep_is_refused_with_its_line) {
  const auto deep = [](int parts) {
    std::string key = "a";
    for (int i = 1; i < parts; ++i) key += ".a";
    return key;
  };
  EXPECT_THAT(load("[app]\n" + deep(16'000) + " = 1\n").mistakes,
              ElementsAre(HasSubstr("2: a key with more than 32 parts")));
  EXPECT_THAT(load("[app." + deep(40) + "]\n").mistakes, ElementsAre(HasSubstr("1: a key with more than")));
  std::string arrays = "[app]\nx = 1\ny = ";
  for (int i = 0; i < 100; ++i) arrays += "[";
  for (int i = 0; i < 100; ++i) arrays += "]";
  EXPECT_THAT(load(arrays + "\n").mistakes, ElementsAre(HasSubstr("3: [app] is nested more than 31 deep")));
  EXPECT_THAT(load("[app]\n" + deep(25) + " = 1\n").mistakes, IsEmpty());
  // Behind strings whose end is not the first that looks like one.
  for (const std::string text : {R"("""\"""")", R"("""\\\"""")", R"("""x"""")", R"("""x""""")", "'''x''''"}) {
    EXPECT_THAT(load("[app]\nb = [" + text + ", {" + deep(16'000) + " = 1}]\n").mistakes,
                ElementsAre(HasSubstr("2: a key with more than 32 parts")))
        << text;
  }
  // Dots that are no key's.
  const std::string dots(500, '.');
  EXPECT_THAT(load("[app]\na = '" + dots + "' # " + dots + "\nb = \"\"\"\n\\\"" + dots +
                   "\n\"\"\"\nc = [1.5, 2.5, 3.5]\n")
                  .mistakes,
              IsEmpty());
}

TEST_F(OptionsFile, what_is_as_deep_as_it_may_be_is_read_again_by_workers) {
  const auto arrays = [](std::size_t count) {
    return "[app]\nx = " + std::string(count, '[') + "1" + std::string(count, ']') + "\n";
  };
  const LoadedOptions loaded = load(arrays(30));
  ASSERT_THAT(loaded.mistakes, IsEmpty());
  EXPECT_NO_THROW((void)boost::json::parse(settings_json(loaded.options, {"tcp://127.0.0.1:9"}, 7)));
  EXPECT_THAT(load(arrays(31)).mistakes, ElementsAre(HasSubstr("2: [app] is nested more than 31 deep")));
}

TEST_F(OptionsFile, each_mistake_is_one_line_whatever_it_quotes) {
  for (const auto& [text, expected] :
       {std::pair{"\"a\\nb\" = 1\n", R"(1: unknown key 'a\x0ab')"},
        std::pair{"workers = \"\\u001b[0m\"\n", R"(1: workers: '\x1b[0m' is no whole number)"}})
    EXPECT_THAT(load(text).mistakes, ElementsAre(HasSubstr(expected)));
  EXPECT_THAT(load("", {flag("--workers", {"a\nb"})}).mistakes, ElementsAre(HasSubstr(R"('a\x0ab' is no)")));
}

TEST_F(OptionsFile, a_file_that_cannot_be_read_whole_is_refused) {
  Options options;
  // Regular files, whose first read fails; in a directory it does too.
  EXPECT_THAT(read_options_file("/proc/self/mem", "limpet", &options).mistakes,
              ElementsAre(HasSubstr("cannot be read: ")));
  EXPECT_THAT(read_options_file("/", "limpet", &options).mistakes,
              ElementsAre(HasSubstr("is not a regular file")));
  EXPECT_THAT(load("#" + std::string(1 << 20, 'x') + "\n").mistakes,
              ElementsAre(HasSubstr("has more than 1048576 bytes")));
}

TEST_F(OptionsFile, of_very_many_mistakes_the_first_twenty_are_told) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "key" + std::to_string(i) + " = 1\n";
  const auto mistakes = load(text).mistakes;
  ASSERT_EQ(mistakes.size(), 21U);
  EXPECT_THAT(mistakes.back(), HasSubstr("and 9980 mistakes more"));
}

TEST_F(OptionsFile, each_mistake_is_told_with_its_line_and_what_would_be_right) {
  const std::pair<const char*, const char*> cases[] = {
      {"\nwokers = 3\n", "2: unknown key 'wokers'; did you mean 'workers'?"},
      {"xyzzy = 1\n", "1: unknown key 'xyzzy'; `limpet serve --help` lists all"},
      {"[socketio]\npingInterval = \"1s\"\n",
       "2: unknown key 'socketio.pingInterval'; did you mean 'socketio.ping_interval'?"},
      {"[limits]\nping_interval = \"1s\"\n",
       "2: unknown key 'limits.ping_interval'; did you mean 'socketio.ping_interval'?"},
      {"[sockets]\nx = 1\n", "1: unknown key 'sockets'; did you mean 'socketio'?"},
      {"workers = \"many\"\n", "1: workers: 'many' is no whole number; from 1 to 256, or \"auto\" is right"},
      {"workers = 0\n", "1: workers: is out of range; from 1 to 256 is right"},
      {"workers = 257\n", "1: workers: is out of range"},
      {"workers = 1.5\n", "1: workers: '1.5' is no whole number"},
      {"workers = -1\n", "1: workers: '-1' is no whole number"},
      {"workers = [1, 2]\n", "1: workers: has 2 values; one is right"},
      {"pin = \"yes\"\n", "1: pin: 'yes' is neither true nor false"},
      {"listen = \"localhost:80\"\n", "1: listen: 'localhost:80' is no address; tcp://ADDRESS:PORT is one"},
      {"listen = []\n", "1: listen: is empty"},
      {"log_level = \"loud\"\n",
       "1: log_level: 'loud' is no log level; debug, info, warning, error, critical are"},
      {"[socketio]\nping_interval = 25\n", "2: socketio.ping_interval: '25' is no duration"},
      {"[socketio]\nping_interval = \"25 parsec\"\n",
       "2: socketio.ping_interval: '25 parsec' is no duration"},
      {"[socketio]\nping_interval = \"1ms\"\n",
       "2: socketio.ping_interval: is out of range; from \"100ms\" to \"3600s\" is right"},
      {"[socketio]\nmax_payload = \"1TB\"\n",
       "2: socketio.max_payload: '1TB' is no size (KiB, MiB and GiB are the units)"},
      {"[socketio]\npath = \"x\"\n", "2: socketio.path: 'x' is no path"},
      {"[socketio]\ntransports = [\"smoke\"]\n", "2: socketio.transports: 'smoke' is no transport"},
      {"socketio = 3\n", "1: 'socketio' is no table; [socketio] begins one"},
      {"app = 3\n", "1: 'app' is no table"},
      {"[app]\nx = [1,\n  nan]\n", "3: [app] has nan or inf, which JSON has not"},
      {"[app]\nx = -inf\n", "2: [app] has nan or inf"},
      {"[workers]\nx = 1\n", "1: 'workers' is a table; a value is right"},
      {"workers = 1\nworkers = 2\n", "2: "},
      {"[ring]\ncapacity = 3000000\n", "2: ring.capacity: 3000000 is no power of two; 16MiB is"},
      {"listen = \"tcp://127.0.0.1:70000\"\n", "PORT from 0 to 65535"},
      {"\n\nlisten = [\n", "3: Error while parsing array"},
      {"trusted = [\"10.0.0.1/8\"]\n", "1: trusted: '10.0.0.1/8' has bits set behind its prefix"},
      {"trusted = \"proxy\"\n", "1: trusted: 'proxy' is no network; 10.0.0.0/8"},
      {"unix_mode = \"660\"\n", "1: unix_mode: '660' is no mode; \"0660\" is one"},
      {"unix_mode = 0o660\n", "1: unix_mode: '432' is no mode"},
      {"unix_mode = \"01777\"\n", "1: unix_mode: '01777' is no mode"},
      {"placement = \"random\"\n", "1: placement: 'random' is no placement; address, least-connections are"},
      {"address_header = \"x-real-ip\"\n", "1: address_header: 'x-real-ip' is no header that names clients"},
      {"[[listen]]\nbacklog = 3\n", "1: listen: a table without address"},
      {"[[listen]]\naddress = \"tcp://*:1\"\nbaklog = 3\n",
       "3: unknown key 'baklog' of a listener; did you mean 'backlog'?"},
      {"[[listen]]\naddress = \"tcp://*:1\"\nidle_timeout = 3\n",
       "3: listen.idle_timeout: '3' is no duration"},
      {"[[listen]]\naddress = \"*:1\"\n", "2: listen.address: '*:1' is no address"},
      {"[[listen]]\naddress = \"tcp://*:1,tcp://*:2\"\n",
       "2: listen.address: 'tcp://*:1,tcp://*:2' is more than one; each has a table"},
      {"application = [\"./app\", \"a\\u0000b\"]\n", "1: application: has a zero byte in it"},
      {"runtime_dir = \"/run\\u0000/x\"\n", "1: runtime_dir: has a zero byte in it"},
      {"[limits]\nmemory = \"17179869184GiB\"\n", "2: limits.memory: is out of range"},
      {"[limits]\nidle_timeout = \"999999999999999h\"\n", "2: limits.idle_timeout: is out of range"},
  };
  for (const auto& [text, expected] : cases) {
    const auto told = mistakes(text);
    ASSERT_EQ(told.size(), 1U) << text;
    EXPECT_THAT(told.front(), HasSubstr(expected)) << text;
  }
}

constexpr const char* kTwoListeners = R"(
backlog = 7
[[listen]]
address = "tcp://127.0.0.1:1"
proxy_protocol = true
trusted = ["10.0.0.0/8", "unix"]
header_timeout = "1s"
[[listen]]
address = "tcp://127.0.0.1:2"
backlog = 9
[limits]
idle_timeout = "7s"
)";

TEST_F(OptionsFile, a_listener_has_its_own_options_over_the_common_ones) {
  const LoadedOptions loaded = load(kTwoListeners);
  ASSERT_THAT(loaded.mistakes, IsEmpty());
  EXPECT_THAT(loaded.options.listen, ElementsAre("tcp://127.0.0.1:1", "tcp://127.0.0.1:2"));
  const Options first = options_of_listeners(loaded.options).at(0);
  const Options second = options_of_listeners(loaded.options).at(1);
  EXPECT_TRUE(first.proxy_protocol);
  EXPECT_THAT(first.trusted, ElementsAre("10.0.0.0/8", "unix"));
  EXPECT_EQ(first.header_timeout, 1s);
  EXPECT_EQ(first.idle_timeout, 7s);
  EXPECT_EQ(first.backlog, 7U);
  EXPECT_FALSE(second.proxy_protocol);
  EXPECT_EQ(second.header_timeout, 10s);
  EXPECT_EQ(second.backlog, 9U);
  const auto settings = boost::json::parse(settings_json(loaded.options, {"a", "b"}, 7));
  EXPECT_EQ(settings.at("listeners").at(0), boost::json::parse(R"({
    "header_timeout_ms": 1000, "body_timeout_ms": 30000, "idle_timeout_ms": 7000, "proxy_protocol": true,
    "trusted": ["10.0.0.0/8", "unix"], "address_header": "x-forwarded-for"})"));
}

TEST_F(OptionsFile, addresses_as_flags_replace_the_files_listeners) {
  const LoadedOptions loaded = load(kTwoListeners, {flag("--listen", {"tcp://127.0.0.1:3"})});
  EXPECT_THAT(loaded.options.listen, ElementsAre("tcp://127.0.0.1:3"));
  EXPECT_FALSE(options_of_listeners(loaded.options).at(0).proxy_protocol);
}

TEST_F(OptionsFile, what_a_socket_is_opened_with_needs_a_restart_and_the_rest_of_a_listener_does_not) {
  const Options before = load(kTwoListeners).options;
  std::string other = kTwoListeners;
  other.replace(other.find("\"1s\""), 4, "\"2s\"");
  EXPECT_THAT(changes_that_need_a_restart(before, load(other).options, 2), IsEmpty());
  other.replace(other.find("= 9"), 3, "= 8");
  EXPECT_THAT(changes_that_need_a_restart(before, load(other).options, 2), ElementsAre("listen"));
}

TEST_F(OptionsFile, all_mistakes_are_told_at_once) {
  EXPECT_EQ(mistakes("wokers = 1\nbacklog = 0\n[rong]\nx = 1\n").size(), 3U);
}

TEST_F(OptionsFile, mistakes_are_told_in_the_order_of_their_lines) {
  const auto told = mistakes(
      "zzz = 1\nworkers = 0\nbacklog = 0\n[rong]\nx = 1\n[[listen]]\nbacklog = 0\n[ring]\nzeta = 1\n"
      "capacity = 3\n[limits]\nheader = \"big\"\n");
  std::vector<std::string> lines;
  for (const std::string& each : told) lines.push_back(each.substr(0, each.find(':')));
  EXPECT_THAT(lines, ElementsAre("1", "2", "3", "4", "6", "7", "9", "10", "12"));
}

TEST_F(OptionsFile, of_very_many_mistakes_those_of_the_first_lines_are_told) {
  std::string text;
  for (int i = 99; i > 0; --i) text += "key" + std::to_string(i) + " = 1\n";
  const auto told = load(text).mistakes;
  ASSERT_EQ(told.size(), 21U);
  EXPECT_THAT(told.front(), HasSubstr(":1: unknown key 'key99'"));
  EXPECT_THAT(told.at(19), HasSubstr(":20: unknown key 'key80'"));
  EXPECT_THAT(told.back(), HasSubstr("and 79 mistakes more"));
}

TEST_F(OptionsFile, text_without_quotes_is_told_in_plain_words_and_the_librarys_stand_behind) {
  const std::tuple<const char*, int, const char*> cases[] = {
      {"workers = 1\nplacement = address\n", 2, "address"},
      {"workers = auto # all\n", 1, "auto"},
      {"listen = tcp://*:3000\n", 1, "tcp://*:3000"},
      {"listen = [\"tcp://*:1\",\n  unix:///x]\n", 2, "unix:///x"},
      {"[socketio]\nping_interval = 25s\n", 2, "25s"},
      {"[limits]\nheader = 16KiB\n", 2, "16KiB"},
      {"trusted = [10.0.0.0/8]\n", 1, "10.0.0.0/8"},
      {"unix_mode = 0660\n", 1, "0660"},
      {"log_level = information\n", 1, "information"},
      {"[app]\na = {b = fo}\n", 2, "fo"},
  };
  for (const auto& [text, line, word] : cases) {
    const auto told = mistakes(text);
    ASSERT_EQ(told.size(), 1U) << text;
    EXPECT_THAT(
        told.front(),
        testing::StartsWith(fmt::format(
            "{}: {} has no quotes; text must stand between quotes, as in \"text\" (Error while parsing ",
            line, word)))
        << text;
  }
  for (const char* text : {"workers = \n", "a b = 1\n", "workers = 1 2\n", "[a b]\n", "log_level = \"x\n"}) {
    const auto told = mistakes(text);
    ASSERT_EQ(told.size(), 1U) << text;
    EXPECT_THAT(told.front(), testing::StartsWith("1: Error while parsing ")) << text;
  }
}

TEST_F(OptionsFile, values_that_contradict_each_other_are_refused) {
  EXPECT_THAT(load("[reload]\ndrain_window = \"2m\"\n").mistakes,
              ElementsAre(HasSubstr("limpet.toml:2: reload.drain_window (120000 ms) is longer")));
  EXPECT_THAT(
      load("max_workers = 2\nworkers = 1\n", {flag("--workers", {"3"})}).mistakes,
      ElementsAre(AllOf(StartsWith("--workers, "), HasSubstr("limpet.toml:1: workers (3) is more than"))));
}

TEST_F(OptionsFile, a_bad_address_of_a_listener_is_told_among_all_other_mistakes) {
  EXPECT_THAT(load("[[listen]]\naddress = \"*:1\"\nbaklog = 1\n[[listen]]\naddress = \"*:2\"\n").mistakes,
              ElementsAre(HasSubstr(":2: listen.address: '*:1'"), HasSubstr(":3: unknown key 'baklog'"),
                          HasSubstr(":5: listen.address: '*:2'")));
}

TEST_F(OptionsFile, a_name_with_its_table_in_quotes_is_told_to_need_none) {
  EXPECT_THAT(
      load("\"reload.probation\" = \"1s\"\n").mistakes,
      ElementsAre(HasSubstr(":1: unknown key \"reload.probation\"; without quotes reload.probation is one")));
}

TEST_F(OptionsFile, a_file_that_is_not_there_is_told) {
  EXPECT_THAT(load_options({directory_.path() + "/none.toml", {}, {}, false}).mistakes,
              ElementsAre(HasSubstr("none.toml: cannot be read: No such file")));
}

TEST_F(OptionsFile, the_application_gets_its_table_as_it_stands_there) {
  const LoadedOptions loaded =
      load("[app]\nname = \"chat\"\nrooms = [1, 2.5, true]\nopened = 2024-01-02\n[app.deep]\nx = -1\n");
  ASSERT_THAT(loaded.mistakes, IsEmpty());
  const auto settings = boost::json::parse(settings_json(loaded.options, {"tcp://127.0.0.1:9"}, 7));
  EXPECT_EQ(
      settings.at("app"),
      boost::json::parse(R"({"name":"chat","rooms":[1,2.5,true],"opened":"2024-01-02","deep":{"x":-1}})"));
}

TEST(Settings, have_every_key_that_heritage_h_names) {
  Options options = load_options({}).options;
  options.memory = 3U << 30;  // "auto" depends on the machine
  const auto settings = boost::json::parse(settings_json(options, {"tcp://127.0.0.1:9"}, 7));
  EXPECT_EQ(settings, boost::json::parse(R"({
    "listen": ["tcp://127.0.0.1:9"], "heartbeat_interval_ms": 2500, "placement": "address", "placement_seed": 7,
    "listeners": [{"header_timeout_ms": 10000, "body_timeout_ms": 30000, "idle_timeout_ms": 60000,
                   "proxy_protocol": false, "trusted": [], "address_header": "x-forwarded-for"}],
    "socketio": {"path": "/socket.io", "ping_interval_ms": 25000, "ping_timeout_ms": 20000, "upgrade_timeout_ms": 10000,
                 "connect_timeout_ms": 45000, "max_payload_bytes": 1000000, "transports": ["polling", "websocket"]},
    "limits": {"header_bytes": 16384, "header_timeout_ms": 10000, "body_timeout_ms": 30000, "idle_timeout_ms": 60000,
               "send_queue_bytes": 16777216, "send_stall_ms": 5000, "min_rate_bytes": 500,
               "memory_bytes": 3221225472, "connections": 100000, "sessions": 200000,
               "connections_per_address": 0, "handshakes_per_second": 0},
    "ring": {"capacity_bytes": 16777216, "lap_after_ms": 100, "deferred_bytes": 67108864},
    "app": {}})"));
}

TEST(OptionTable, limits_hold_at_their_edges) {
  for (const OptionRow& row : option_table()) {
    if (row.most == 0) continue;
    const std::string unit = row.unit == Unit::Duration ? "ms" : "";
    Options options;
    EXPECT_EQ(assign(row, {std::to_string(row.least) + unit}, &options), "") << row.flag;
    EXPECT_EQ(assign(row, {std::to_string(row.most) + unit}, &options), "") << row.flag;
    EXPECT_NE(assign(row, {std::to_string(row.most + 1) + unit}, &options), "") << row.flag;
    if (row.least > 0) {
      EXPECT_NE(assign(row, {std::to_string(row.least - 1) + unit}, &options), "") << row.flag;
    }
  }
}

TEST(OptionTable, names_what_a_reload_cannot_change) {
  const Options before = load_options({}).options;
  Options after = before;
  after.ping_interval = 1s;
  EXPECT_THAT(changes_that_need_a_restart(before, after, 2), IsEmpty());
  after.workers = 7;
  after.listen = {"tcp://127.0.0.1:1"};
  EXPECT_THAT(changes_that_need_a_restart(before, after, 2), ElementsAre("listen", "workers"));
}

TEST(OptionTable, stands_in_the_manual_row_by_row) {
  std::ifstream manual(LIMPET_SOURCE_DIR "/docs/operations.md");
  const std::string text((std::istreambuf_iterator<char>(manual)), {});
  for (const OptionRow& row : option_table()) {
    const std::string standard = row.default_text.empty() ? "" : " `" + std::string(row.default_text) + "`";
    EXPECT_THAT(text,
                HasSubstr("| `" + std::string(row.flag) + "` | `" + name_in_file(row) + "` |" + standard))
        << row.flag;
  }
}

TEST(Durations, have_a_unit) {
  EXPECT_EQ(parse_duration("25s"), 25000ms);
  EXPECT_EQ(parse_duration("2.5s"), 2500ms);
  EXPECT_EQ(parse_duration("0ms"), 0ms);
  EXPECT_EQ(parse_duration("2m"), 120s);
  EXPECT_EQ(parse_duration("1h"), 3600s);
  for (const char* text : {"", "s", "25", "-1s", "1d", "1s ", "1e3s", "inf s", "nans"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Bytes, may_have_a_unit) {
  EXPECT_EQ(parse_bytes("0"), 0U);
  EXPECT_EQ(parse_bytes("16KiB"), 16384U);
  EXPECT_EQ(parse_bytes("1.5MiB"), 1572864U);
  for (const char* text : {"", "KiB", "1.5", "-1", "1KB", "1 KiB"}) EXPECT_FALSE(parse_bytes(text)) << text;
}

TEST(Options, the_number_of_workers_that_scale_has_brought_about_needs_no_restart) {
  Options before;
  before.workers = 2;
  Options after = before;
  after.workers = 3;
  EXPECT_THAT(changes_that_need_a_restart(before, after, 2), ElementsAre("workers"));
  EXPECT_THAT(changes_that_need_a_restart(before, after, 3), IsEmpty());
}

TEST(Options, an_address_that_stands_twice_is_told_before_it_is_bound_twice) {
  const auto row = std::ranges::find(option_table(), std::string_view("--listen"), &OptionRow::flag);
  CommandLine words;
  words.flags.push_back({static_cast<std::size_t>(row - option_table().begin()),
                         {"tcp://127.0.0.1:1", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"}});
  EXPECT_THAT(load_options(words).mistakes, IsEmpty());
  words.flags.back().values.emplace_back("tcp://127.0.0.1:1");
  EXPECT_THAT(load_options(words).mistakes,
              ElementsAre("--listen: tcp://127.0.0.1:1 stands twice in listen"));
}

TEST(Words, behind_two_dashes_are_the_applications) {
  const auto application_of = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"limpet", "serve"});
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    const Command command = parse_command_line(static_cast<int>(pointers.size()), pointers.data(), "limpet");
    return std::get<CommandLine>(command).application;
  };
  EXPECT_THAT(application_of({"./app", "--", "--its", "x"}), ElementsAre("./app", "--its", "x"));
  EXPECT_THAT(application_of({"./app", "a", "--workers", "2", "--", "--workers"}),
              ElementsAre("./app", "a", "--workers"));
  EXPECT_THAT(application_of({"--", "./app", "--its", "--", "x"}), ElementsAre("./app", "--its", "--", "x"));
  EXPECT_THAT(application_of({"./app", "--"}), ElementsAre("./app"));
}

TEST(Suggestion, is_made_only_if_it_is_near) {
  EXPECT_EQ(nearest("wokers", {"listen", "workers"}), "workers");
  EXPECT_EQ(nearest("zzz", {"listen", "workers"}), "");
  EXPECT_EQ(nearest(std::string(100, 'w'), {"listen", "workers"}), "");
}

}  // namespace
}  // namespace limpet::supervisor
