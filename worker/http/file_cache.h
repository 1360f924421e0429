// Small files kept in memory as the answers that clients get: one buffer each, head and body, shared by all
// connections it goes out on. Bounded in entries and bytes; who was not asked for the longest time goes
// first. Keeps nothing of what does not exist, so a stranger can fill it with nothing but the application's
// own files. Knows no file system: whoever fills it looks again at what is older than kGoodFor.
//
// The names stand in an ordered map: no client can choose two that collide, and kMaxFiles bounds its depth.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "worker/http/file_tree.h"
#include "worker/loop/buffer.h"
#include "worker/loop/clock.h"

namespace limpet::http {

struct KeptFile {
  loop::Buffer answer;  ///< Response::whole
  std::string etag;     ///< quoted
  FileState state;
  loop::TimePoint looked_at;  ///< when the file was last seen to be in that state

  /// How long a file is not looked at.
  static constexpr std::chrono::seconds kGoodFor{1};
  [[nodiscard]] bool is_fresh(loop::TimePoint now) const noexcept { return now - looked_at < kGoodFor; }
};

class FileCache {
 public:
  static constexpr std::size_t kMaxFiles = 1024;
  static constexpr std::size_t kMaxBytes = 8 * 1024 * 1024;
  /// Of one file's content.
  static constexpr std::size_t kMaxFileBytes = 64 * 1024;

  explicit FileCache(std::size_t max_files = kMaxFiles, std::size_t max_bytes = kMaxBytes)
      : max_files_(max_files), max_bytes_(max_bytes) {}
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;

  /// Null if it is not kept. Good until the next keep() or forget().
  [[nodiscard]] KeptFile* find(std::string_view name);
  /// In place of what was kept by that name.
  void keep(std::string_view name, KeptFile file);
  void forget(std::string_view name);

  [[nodiscard]] std::size_t files() const noexcept { return files_.size(); }
  /// What the entries cost, their names and places included.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  using Order = std::list<std::string_view>;  // the names, the one asked for last in front
  struct Entry {
    KeptFile file;
    Order::iterator place;
  };
  using Files = std::map<std::string, Entry, std::less<>>;

  [[nodiscard]] static std::size_t cost_of(const Files::value_type& entry) noexcept;
  void drop(Files::iterator entry);

  std::size_t max_files_;
  std::size_t max_bytes_;
  Files files_;
  Order order_;
  std::size_t bytes_ = 0;
};

}  // namespace limpet::http
