// The runtime directory: the lock that makes a second supervisor there impossible, and the file of the
// control socket. Opened once, and everything in it is opened relative to that, so that nobody can put
// another directory in its place while we look. Owns the lock and both files for the life of the object;
// removes what is still its own. Throws std::runtime_error in words.
//
// Whose it may be. One that nobody named must be private: a directory, no symlink, ours, mode 0700 (in /tmp
// anybody could have made it). /run/limpet of root, and one that the operator named: ours or root's, and
// written by nobody else but a group of ours; others may look into it (systemd's RuntimeDirectory= makes
// 0755). A symlink that the operator named is followed.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/file_id.h"
#include "supervisor/system/lock_file.h"

namespace limpet::supervisor {

/// /run/limpet for root, else $XDG_RUNTIME_DIR/limpet, else /tmp/limpet-UID.
[[nodiscard]] std::string default_runtime_dir();
/// "limpet ctl", with --runtime-dir if that is another than the default: for a shell. `limpet`:
/// StartPlace::command().
[[nodiscard]] std::string ctl_command(const std::string& limpet, const std::string& runtime_dir);

enum class RuntimeDirTrust {
  Private,   ///< nobody named it, and it may lie where anybody can write
  NoLink,    ///< /run/limpet of root
  Operator,  ///< it was named
};
/// `named`: as the operator did; "": nobody has.
[[nodiscard]] RuntimeDirTrust trust_of(const std::string& named);
/// "" or why a directory is not used. `user`, `group`: ours.
[[nodiscard]] std::string objection_to(const struct stat& found, RuntimeDirTrust trust, uid_t user,
                                       gid_t group);
/// O_PATH. Invalid if there is none. Throws std::runtime_error if one of a default name is not to be trusted.
[[nodiscard]] base::Descriptor open_to_ask(const std::string& path, RuntimeDirTrust trust);
/// For bind and connect: no length of the directory's path is too long, and nobody can swap it.
[[nodiscard]] std::string control_path(const base::Descriptor& directory);

class RuntimeDir {
 public:
  /// Creates the directory if need be, and takes the lock. `path`: absolute. `limpet`: the command that a
  /// refusal names.
  RuntimeDir(std::string path, RuntimeDirTrust trust, std::string limpet = "limpet");
  /// The one that an upgrade carries over: its lock is held. Never throws: what was swept meanwhile is made
  /// again by restore().
  RuntimeDir(std::string path, RuntimeDirTrust trust, std::string limpet, base::Descriptor lock);
  ~RuntimeDir();
  RuntimeDir(const RuntimeDir&) = delete;
  RuntimeDir& operator=(const RuntimeDir&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int lock() const noexcept { return lock_.descriptor(); }
  /// The supervisor before left its control socket behind: it was killed, and its workers may still be
  /// leaving.
  [[nodiscard]] bool previous_was_killed() const noexcept { return previous_was_killed_; }

  /// A socket that listens at RUNTIME_DIR/control, in place of what a killed supervisor left there.
  [[nodiscard]] base::Descriptor listen_for_control();

  struct Restored {
    std::vector<std::string> names;  ///< what had to be made again: "lock", "control"
    base::Descriptor control;        ///< listens; invalid if the old one is still to be found
  };
  /// Makes again what was swept (systemd-tmpfiles clears directories that look unused).
  [[nodiscard]] Restored restore();

 private:
  /// The one that the path leads to, made if need be.
  [[nodiscard]] base::Descriptor open_directory() const;
  [[nodiscard]] LockFile lock_in(const base::Descriptor& directory) const;

  std::string path_;
  RuntimeDirTrust trust_;
  std::string limpet_;
  base::Descriptor directory_;
  LockFile lock_;
  std::optional<base::FileId> control_;  ///< our socket's file
  bool previous_was_killed_ = false;
};

}  // namespace limpet::supervisor
