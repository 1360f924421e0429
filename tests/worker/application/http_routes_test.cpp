#include "worker/application/http_routes.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tests/worker/memory_stream.h"
#include "tests/worker/socketio/world.h"
#include "worker/http/server.h"

namespace limpet::application {
namespace {

namespace fs = std::filesystem;

/// What a client got.
struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  std::size_t files = 0;  ///< sent from the disk

  [[nodiscard]] std::string header(std::string_view name) const {
    return std::string(http::find_header(head, name));
  }
};

/// Nothing but the routes.
class Routes final : public http::RequestHandler {
 public:
  explicit Routes(Application& application) : application_(application) {}
  Route route(loop::Stream&, const http::RequestHead&, std::size_t) override { return Route::Here; }
  std::size_t body_limit(const http::RequestHead&) override { return 0; }
  void on_request(http::Exchange exchange, const http::Request& request) override {
    auto response = application_.handle_http(request, [] { return std::string("10.0.0.1"); });
    found = response.has_value();
    exchange.answer(found ? std::move(*response) : http::Response(404));
  }

  bool found = false;

 private:
  Application& application_;
};

/// A directory of its own, gone afterwards.
class Site : public testing::Test {
 public:
  Site() {
    char name[] = "/tmp/limpet-site-XXXXXX";
    root_ = ::mkdtemp(name);
    write("public/index.html", "<h1>hi</h1>");
    write("public/app.js", "let x;");
    write("public/with space+plus.txt", "s");
    write("public/.secret", "s");
    write("public/sub/index.html", "sub");
    write("outside.txt", "secret");
    write("client/package.json", R"({"version":"4.8.1"})");
    write("client/dist/socket.io.js", "client");
    write("client/dist/socket.io.js.map", "{}");
    write("client/dist/other.js", "other");
    fs::create_symlink(root_ / "outside.txt", root_ / "public/link.txt");
    world_.io.files("/", root_ / "public");
    world_.io.serve_client(root_ / "client/dist");
  }
  ~Site() override { fs::remove_all(root_); }

 protected:
  void write(const std::string& name, const std::string& content) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << content;
  }
  std::optional<Answer> ask(std::string_view path, std::string_view method = "GET",
                            std::string_view if_none_match = {}) {
    std::string request =
        std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: h\r\nX-H: 1\r\n";
    if (!if_none_match.empty()) request += "If-None-Match: " + std::string(if_none_match) + "\r\n";
    test::MemoryStream stream;
    Routes routes(world_.application);
    http::Server server(routes, {});
    server.adopt(stream);
    stream.receive(request + "\r\n");
    if (!routes.found) return std::nullopt;
    const std::string& sent = stream.sent();
    const std::size_t end = sent.find("\r\n\r\n") + 4;
    return Answer{std::stoi(sent.substr(9, 3)), sent.substr(0, end), sent.substr(end), stream.files.size()};
  }
  static std::string header(const Answer& answer, std::string_view name) { return answer.header(name); }
  /// The next look at a file is due.
  void let_time_pass() { world_.advance(std::chrono::seconds(1)); }

  socketio::World world_;
  fs::path root_;
};

TEST_F(Site, ServesFilesWithTheirTypes) {
  EXPECT_EQ(ask("/")->body, "<h1>hi</h1>");
  EXPECT_EQ(header(*ask("/"), "Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(header(*ask("/app.js"), "Content-Type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(ask("/with%20space+plus.txt")->body, "s");
  EXPECT_EQ(ask("/sub/")->body, "sub");
  EXPECT_FALSE(ask("/none.txt").has_value());
  EXPECT_EQ(ask("/app.js", "POST")->status, 405);
}

TEST_F(Site, SendsADirectoryWithoutItsSlashToTheOneWithIt) {
  const auto response = ask("/sub");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 301);
  EXPECT_EQ(header(*response, "Location"), "./sub/");
  EXPECT_EQ(header(*ask("//sub"), "Location"), "./sub/");
}

TEST_F(Site, NothingOutsideTheDirectoryIsServed) {
  for (const char* path :
       {"/../outside.txt", "/%2e%2e/outside.txt", "/sub/../../outside.txt", "/..%2foutside.txt", "/.secret",
        "/%2esecret", "/link.txt", "/app.js%00.html", "/..\\outside.txt", "/%", "/%4", "/%zz", "/./app.js"})
    EXPECT_FALSE(ask(path).has_value()) << path;
}

TEST_F(Site, AnswersNotModifiedToWhoHasIt) {
  const std::string etag = header(*ask("/app.js"), "ETag");
  ASSERT_FALSE(etag.empty());
  for (const std::string& have :
       {etag, std::string("W/") + etag, std::string("\"x\", ") + etag, std::string("*")}) {
    const auto response = ask("/app.js", "GET", have);
    EXPECT_EQ(response->status, 304) << have;
    EXPECT_TRUE(response->body.empty());
  }
  EXPECT_EQ(ask("/app.js", "GET", "\"x\"")->status, 200);
  write("public/app.js", "let changed;");
  let_time_pass();
  EXPECT_EQ(ask("/app.js", "GET", etag)->status, 200);
}

TEST_F(Site, ServesTheBrowserClientBelowTheSocketIoPath) {
  const auto response = ask("/socket.io/socket.io.js");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "client");
  EXPECT_EQ(header(*response, "ETag"), "\"4.8.1\"");
  EXPECT_EQ(header(*response, "Cache-Control"), "public, max-age=0");
  EXPECT_EQ(ask("/socket.io/socket.io.js", "GET", "W/\"4.8.1\"")->status, 304);
  EXPECT_EQ(ask("/socket.io/socket.io.js.map")->body, "{}");
  EXPECT_FALSE(ask("/socket.io/other.js").has_value());
  EXPECT_FALSE(ask("/socket.io/socket.io.min.js").has_value());
  EXPECT_FALSE(ask("/socket.io/").has_value());
  EXPECT_FALSE(ask("/socket.io/socket.io.js", "POST").has_value());
}

TEST_F(Site, HandlersComeBeforeFiles) {
  world_.io.get("/app.js", [](const HttpRequest& request) {
    return HttpResponse::text(std::string("q=") + request.query("q") +
                              " h=" + std::string(request.header("x-h")));
  });
  EXPECT_EQ(ask("/app.js?a=1&q=b%20c")->body, "q=b c h=1");
  EXPECT_EQ(ask("/app.js", "DELETE")->status, 405);
}

TEST_F(Site, HandlerThatThrowsIsAnInternalError) {
  world_.io.get("/bad", [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("broken"); });
  EXPECT_EQ(ask("/bad")->status, 500);
  EXPECT_EQ(world_.application.handler_exceptions(), 1u);
}

TEST_F(Site, HandlersCannotSayWhatIsTheServersToSay) {
  world_.io.get("/said", [](const HttpRequest&) {
    return HttpResponse{
        200,
        {{"Content-Length", "99"}, {"transfer-encoding", "chunked"}, {"Date", "now"}, {"X", "1"}},
        "body"};
  });
  EXPECT_EQ(ask("/said")->head, "HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 4\r\n\r\n");
  world_.io.get("/ended", [](const HttpRequest&) {
    return HttpResponse{200, {{"Connection", "x, close"}}, ""};
  });
  EXPECT_EQ(ask("/ended")->head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  for (const int status : {0, 100, 101, 199, 600, -1}) {
    world_.io.get("/odd", [status](const HttpRequest&) { return HttpResponse{status, {}, ""}; });
    EXPECT_EQ(ask("/odd")->status, 500) << status;
  }
}

TEST_F(Site, AFileWithASlashBehindItsNameIsNone) {
  EXPECT_FALSE(ask("/index.html/").has_value());
  EXPECT_FALSE(ask("/sub/index.html/").has_value());
}

TEST_F(Site, NobodyIsToldOfAChangeThatLiesAhead) {
  world_.clock.set_wall_time(1'000'000'000);
  fs::last_write_time(
      root_ / "public/app.js",
      std::chrono::file_clock::from_sys(std::chrono::sys_seconds(std::chrono::seconds(1'000'000'000))));
  EXPECT_EQ(ask("/app.js")->header("Last-Modified"), "Sun, 09 Sep 2001 01:46:40 GMT");
  fs::last_write_time(
      root_ / "public/app.js",
      std::chrono::file_clock::from_sys(std::chrono::sys_seconds(std::chrono::seconds(1'000'000'001))));
  let_time_pass();
  EXPECT_EQ(ask("/app.js")->header("Last-Modified"), "");
}

TEST_F(Site, AKeptFileSaysTheDateOfEachAnswer) {
  // The test's own server has no clock: what is kept says its date all the same.
  world_.clock.set_wall_time(1'700'000'000);
  EXPECT_EQ(ask("/app.js")->header("Date"), "Tue, 14 Nov 2023 22:13:20 GMT");
  world_.clock.set_wall_time(1'700'000'001);
  const Answer later = *ask("/app.js");
  EXPECT_EQ(later.header("Date"), "Tue, 14 Nov 2023 22:13:21 GMT");
  EXPECT_EQ(later.body, "let x;");
}

TEST_F(Site, LongestPrefixWins) {
  write("docs/a.txt", "docs");
  world_.io.files("/docs", root_ / "docs");
  EXPECT_EQ(ask("/docs/a.txt")->body, "docs");
  EXPECT_EQ(ask("/app.js")->body, "let x;");
}

TEST_F(Site, AnswersHeadWithTheLengthAloneAndReadsNothing) {
  for (const int round : {1, 2}) {
    const auto response = ask("/app.js", "HEAD");
    EXPECT_EQ(response->header("Content-Length"), "6") << round;
    EXPECT_EQ(response->body, "");
    EXPECT_EQ(response->files, 0u);
    (void)ask("/app.js");  // from now on it is kept
  }
}

TEST_F(Site, SendsALargeFileFromTheDiskAndASmallOneFromMemory) {
  const std::string large(http::FileCache::kMaxFileBytes + 1, 'l');
  const std::string small(http::FileCache::kMaxFileBytes, 's');
  write("public/large.bin", large);
  write("public/small.bin", small);
  write("public/empty.bin", "");
  EXPECT_EQ(ask("/large.bin")->body, large);
  EXPECT_EQ(ask("/large.bin")->files, 1u);
  EXPECT_EQ(ask("/large.bin", "HEAD")->header("Content-Length"), std::to_string(large.size()));
  EXPECT_EQ(ask("/small.bin")->body, small);
  EXPECT_EQ(ask("/small.bin")->files, 0u);
  EXPECT_EQ(ask("/empty.bin")->body, "");
  EXPECT_EQ(ask("/empty.bin")->header("Content-Length"), "0");
}

TEST_F(Site, SaysTheSameOfAFileWhetherItIsKeptOrNot) {
  const Answer first = *ask("/app.js");
  const Answer kept = *ask("/app.js");
  EXPECT_EQ(kept.head, first.head);
  EXPECT_EQ(kept.body, "let x;");
  let_time_pass();
  EXPECT_EQ(ask("/app.js")->head, first.head);
  EXPECT_EQ(ask("/app.js", "POST")->status, 405);
  EXPECT_EQ(ask("/app.js", "GET", first.header("ETag"))->status, 304);
}

TEST_F(Site, SeesAReplacedFileWithinASecond) {
  EXPECT_EQ(ask("/app.js")->body, "let x;");
  write("public/next.js", "let y;");
  fs::last_write_time(root_ / "public/next.js", fs::last_write_time(root_ / "public/app.js"));
  fs::rename(root_ / "public/next.js", root_ / "public/app.js");
  EXPECT_EQ(ask("/app.js")->body, "let x;");
  let_time_pass();
  EXPECT_EQ(ask("/app.js")->body, "let y;");
  fs::remove(root_ / "public/app.js");
  let_time_pass();
  EXPECT_FALSE(ask("/app.js").has_value());
}

TEST_F(Site, SeesANewFileAtOnce) {
  EXPECT_FALSE(ask("/new.txt").has_value());
  write("public/new.txt", "new");
  EXPECT_EQ(ask("/new.txt")->body, "new");
}

TEST_F(Site, FollowsItsDirectoryToAnotherPlaceWithinASecond) {
  write("release-2/index.html", "two");
  fs::create_directory_symlink("public", root_ / "current");
  world_.io.files("/site", root_ / "current");
  EXPECT_EQ(ask("/site/")->body, "<h1>hi</h1>");
  fs::remove(root_ / "current");
  fs::create_directory_symlink("release-2", root_ / "current");
  let_time_pass();
  EXPECT_EQ(ask("/site/")->body, "two");
}

TEST_F(Site, FollowsLinksThatStayInside) {
  fs::create_symlink("app.js", root_ / "public/alias.js");
  fs::create_symlink("../app.js", root_ / "public/sub/alias.js");
  fs::create_symlink("../../outside.txt", root_ / "public/sub/out.txt");
  fs::create_directory_symlink("..", root_ / "public/up");
  EXPECT_EQ(ask("/alias.js")->body, "let x;");
  EXPECT_EQ(ask("/sub/alias.js")->body, "let x;");
  EXPECT_FALSE(ask("/sub/out.txt").has_value());
  EXPECT_FALSE(ask("/up/outside.txt").has_value());
}

TEST_F(Site, SendsToTheSlashOnlyWhereThereIsAPage) {
  fs::create_directories(root_ / "public/bare");
  EXPECT_FALSE(ask("/bare").has_value());
  EXPECT_FALSE(ask("/bare/").has_value());
  EXPECT_FALSE(ask("/app.js/").has_value());
}

TEST_F(Site, DoesNotWaitForANamedPipe) {
  ASSERT_EQ(::mkfifo((root_ / "public/pipe").c_str(), 0600), 0);
  EXPECT_FALSE(ask("/pipe").has_value());
}

TEST_F(Site, AnswersServiceUnavailableWithoutDescriptors) {
  EXPECT_EQ(ask("/app.js")->status, 200);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  let_time_pass();
  const auto other = ask("/sub/");
  const auto kept = ask("/app.js");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(other->status, 503);
  EXPECT_EQ(other->header("Retry-After"), "1");
  EXPECT_EQ(other->header("ETag"), "") << "nobody may keep this as the file";
  EXPECT_EQ(kept->body, "let x;");
  EXPECT_EQ(ask("/sub/")->body, "sub");
}

TEST_F(Site, LongAndDeepPathsNameNothing) {
  EXPECT_FALSE(ask("/" + std::string(2000, 'a')).has_value());
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "/sub";
  EXPECT_FALSE(ask(deep).has_value());
}

}  // namespace
}  // namespace limpet::application
