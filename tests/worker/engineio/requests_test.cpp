// What a query asks for, and the refusals, without a server: whoever breaks several rules is told the one
// that Node tells. What a client gets for each: errors_test.cpp.
#include "worker/engineio/requests.h"

#include <gtest/gtest.h>

#include "tests/worker/engineio/parts_kit.h"
#include "worker/engineio/dialect.h"

namespace limpet::engineio {
namespace {

struct Asked {
  std::string_view query;
  std::string_view method = "GET";
  bool upgrade = false;
  const OpenSession* session = nullptr;
};

class RequestRulesTest : public testing::Test {
 protected:
  /// The code of the refusal; -1: there is none.
  int code_of(const Asked& asked) const {
    http::RequestHead head;
    head.method = asked.method;
    head.query = asked.query;
    head.upgrade = asked.upgrade;
    const auto refusal = RequestRules(options, hooks).check(parse_query(asked.query), head, asked.session);
    return refusal ? static_cast<int>(refusal->code) : -1;
  }

  Options options;
  Hooks hooks;
  test::Parts parts;
  const OpenSession& polling = parts.open(Transport::Polling);
  const OpenSession& websocket = parts.open_websocket();
};

TEST(EngineQueries, HaveWhatIsAskedFor) {
  const Query query = parse_query("a=b&j=7&EIO=4&sid=xyz&transport=websocket&EIO=3");
  EXPECT_EQ(query.transport, "websocket");
  EXPECT_TRUE(query.asks_websocket());
  EXPECT_EQ(query.sid, "xyz");
  EXPECT_EQ(query.protocol, "4") << "the first one counts";
  EXPECT_EQ(query.jsonp, "7");
}

TEST(EngineQueries, LackWhatIsNotThere) {
  for (const std::string_view text : {"", "&&", "transport", "x=transport&y=sid", "EIO", "jj=1"}) {
    const Query query = parse_query(text);
    EXPECT_EQ(query.transport, "") << text;
    EXPECT_EQ(query.sid, "") << text;
    EXPECT_EQ(query.protocol, "") << text;
    EXPECT_EQ(query.jsonp, std::nullopt) << text;
  }
  EXPECT_EQ(parse_query("j=").jsonp, "") << "an empty index asks for a script too";
}

TEST(EngineDialects, AreChosenByTheirProtocolVersion) {
  EXPECT_EQ(find_dialect("4"), &kEngineIo4);
  for (const std::string_view protocol : {"", "3", "5", "44", "04", "4 "})
    EXPECT_EQ(find_dialect(protocol), nullptr) << protocol;
}

TEST_F(RequestRulesTest, AHandshakeThatBreaksNoRuleIsTaken) {
  EXPECT_EQ(code_of({"EIO=4&transport=polling"}), -1);
  EXPECT_EQ(code_of({"EIO=4&transport=polling&sid="}), -1);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=websocket", .upgrade = true}), -1);
}

TEST_F(RequestRulesTest, OfSeveralBrokenRulesOfAHandshakeTheFirstInNodesOrderIsTold) {
  hooks.refuse = [](const http::RequestHead&) { return std::optional<std::string>("no"); };
  EXPECT_EQ(code_of({.query = "EIO=3&transport=x", .method = "POST", .upgrade = true}), 0);
  EXPECT_EQ(code_of({.query = "EIO=3&transport=websocket", .method = "POST"}), 2);
  EXPECT_EQ(code_of({.query = "EIO=3&transport=websocket"}), 3);
  EXPECT_EQ(code_of({.query = "EIO=3&transport=polling", .upgrade = true}), 3);
  EXPECT_EQ(code_of({.query = "EIO=3&transport=polling"}), 4);
  hooks.refuse = {};
  EXPECT_EQ(code_of({.query = "EIO=3&transport=polling"}), 5);
}

TEST_F(RequestRulesTest, OnlyAHandshakeIsShownToTheApplication) {
  int asked = 0;
  hooks.refuse = [&asked](const http::RequestHead&) {
    ++asked;
    return std::optional<std::string>();
  };
  EXPECT_EQ(code_of({.query = "EIO=4&transport=polling&sid=x", .session = &polling}), -1);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=polling&sid=x"}), 1);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=polling", .method = "POST"}), 2);
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(code_of({"EIO=4&transport=polling"}), -1);
  EXPECT_EQ(asked, 1);
}

TEST_F(RequestRulesTest, ASessionIsAskedByItsTransportOrUpgraded) {
  EXPECT_EQ(code_of({.query = "EIO=4&transport=polling&sid=x", .method = "POST", .session = &polling}), -1);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=websocket&sid=x", .upgrade = true, .session = &polling}), -1);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=websocket&sid=x", .session = &polling}), 3);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=polling&sid=x", .upgrade = true, .session = &polling}), 3);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=polling&sid=x", .session = &websocket}), 3);
  EXPECT_EQ(code_of({.query = "EIO=3&transport=polling&sid=x", .session = &polling}), 3);
}

TEST_F(RequestRulesTest, ATransportThatIsSwitchedOffIsUnknownToSessionsToo) {
  options.polling = false;
  EXPECT_EQ(code_of({"EIO=4&transport=polling"}), 0);
  EXPECT_EQ(code_of({.query = "EIO=4&transport=polling&sid=x", .session = &polling}), 0);
  options.websocket = false;
  EXPECT_EQ(code_of({.query = "EIO=4&transport=websocket", .upgrade = true}), 0);
}

TEST(EngineRefusals, SayTheirCodeAndMessageOrTheMessageAlone) {
  const http::Response json = make_response({ErrorCode::UnknownSid}, false);
  EXPECT_EQ(json.status, 400);
  EXPECT_EQ(json.body, R"({"code":1,"message":"Session ID unknown"})");
  EXPECT_FALSE(json.close);
  const http::Response forbidden = make_response({ErrorCode::Forbidden, "not you"}, false);
  EXPECT_EQ(forbidden.status, 403);
  EXPECT_EQ(forbidden.body, R"({"code":4,"message":"not you"})");
  const http::Response upgrade = make_response({ErrorCode::Forbidden}, true);
  EXPECT_EQ(upgrade.status, 400);
  EXPECT_EQ(upgrade.body, "Forbidden");
  EXPECT_TRUE(upgrade.close);
}

}  // namespace
}  // namespace limpet::engineio
