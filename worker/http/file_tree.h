// A directory whose files are served, by its path: opens files in it and nothing outside. The kernel itself
// keeps a lookup below the directory (openat2(2), RESOLVE_BENEATH): symbolic links inside lead where they
// say, those that are absolute or lead out are refused, and nobody can move a directory under a lookup that
// is under way. The directory is opened again by its path at most once a second, so that a path that is given
// to another directory (a deployment) is followed.
//
// Where the kernel has no openat2 or forbids it (ENOSYS; EPERM of an older container's filter), each part of
// the path is opened by itself and no symbolic link is followed: slower, and safe as well. Refusing to serve
// would take more from such an application than its links.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "worker/loop/clock.h"
#include "worker/loop/open_file.h"

namespace limpet::http {

/// What tells one state of a file from another.
struct FileState {
  std::uint64_t device = 0;
  std::uint64_t number = 0;  ///< the inode's
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  friend bool operator==(const FileState&, const FileState&) = default;
};

/// Nothing if fstat(2) fails.
[[nodiscard]] bool read_state(const loop::OpenFile& file, FileState& state) noexcept;

struct Lookup {
  enum class Result : std::uint8_t {
    File,
    Directory,  ///< `file` is not open
    Nothing,    ///< there is none, or it is neither file nor directory, or it lies outside
    Forbidden,  ///< no permission
    Exhausted,  ///< no descriptor or memory left: later perhaps
    Failed,     ///< `error`
  };
  Result result = Result::Nothing;
  int error = 0;  ///< errno, unless File or Directory
  loop::OpenFile file;
  FileState state;  ///< of a File
};

class FileTree {
 public:
  /// A longer path, or one of more parts, names nothing.
  static constexpr std::size_t kMaxPathBytes = 1024;
  static constexpr std::size_t kMaxPathParts = 32;
  static constexpr std::chrono::seconds kReopened{1};

  explicit FileTree(std::string root) : root_path_(std::move(root)) {}

  /// `path`: below the root, its parts separated by one slash each, none of them empty, "." or "..".
  [[nodiscard]] Lookup open(const std::string& path, loop::TimePoint now);
  [[nodiscard]] const std::string& root() const noexcept { return root_path_; }

 private:
  void reopen_root(loop::TimePoint now);
  [[nodiscard]] int open_below(const std::string& path);
  [[nodiscard]] int walk(const std::string& path) const;

  std::string root_path_;
  loop::OpenFile root_;
  int root_error_ = 0;
  loop::TimePoint reopened_at_ = loop::TimePoint::min();
  bool has_openat2_ = true;
};

}  // namespace limpet::http
