#include "worker/socketio/http_routes.h"

#include <gtest/gtest.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tests/worker/socketio/world.h"

namespace limpet::socketio {
namespace {

namespace fs = std::filesystem;

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
  std::optional<HttpResponse> ask(std::string_view path, std::string_view method = "GET",
                                  std::string_view if_none_match = {}) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    if (!if_none_match.empty()) request.headers.emplace_back("If-None-Match", if_none_match);
    return world_.server.handle_http(request);
  }
  static std::string header(const HttpResponse& response, std::string_view name) {
    for (const auto& [key, value] : response.headers)
      if (key == name) return value;
    return {};
  }

  World world_;
  fs::path root_;
};

TEST_F(Site, ServesFilesWithTheirTypes) {
  EXPECT_EQ(ask("/")->body, "<h1>hi</h1>");
  EXPECT_EQ(header(*ask("/"), "Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(header(*ask("/app.js"), "Content-Type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(ask("/with%20space+plus.txt")->body, "s");
  EXPECT_EQ(ask("/sub/")->body, "sub");
  EXPECT_EQ(ask("/app.js", "HEAD")->body, "let x;");
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
  HttpRequest request;
  request.method = "GET";
  request.path = "/app.js";
  request.query_string = "a=1&q=b%20c";
  request.headers = {{"X-H", "1"}};
  EXPECT_EQ(world_.server.handle_http(request)->body, "q=b c h=1");
  EXPECT_EQ(ask("/app.js", "DELETE")->status, 405);
}

TEST_F(Site, HandlerThatThrowsIsAnInternalError) {
  world_.io.get("/bad", [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("broken"); });
  EXPECT_EQ(ask("/bad")->status, 500);
  EXPECT_EQ(world_.server.stats().handler_exceptions, 1u);
}

TEST_F(Site, LongestPrefixWins) {
  write("docs/a.txt", "docs");
  world_.io.files("/docs", root_ / "docs");
  EXPECT_EQ(ask("/docs/a.txt")->body, "docs");
  EXPECT_EQ(ask("/app.js")->body, "let x;");
}

}  // namespace
}  // namespace limpet::socketio
