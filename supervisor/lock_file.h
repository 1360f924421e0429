// A file that one process at a time holds locked, with that process's id in it: how a second supervisor
// learns that the first still runs. The lock ends with its holder, however that ends; the file does not
// count. Never follows a symlink, and writes into no file that has another name too.
#pragma once

#include <optional>
#include <string>

#include "ipc/descriptor.h"

namespace limpet::supervisor {

/// The held lock: open as long as it is wanted, then remove the file and close it. Nullopt, with the holder's
/// process id ("unknown" if it has not written it yet) in `*holder`, if another has it. `name`: in the open
/// `directory`; or a path, with AT_FDCWD. `path`: what it is called in complaints. Throws std::system_error
/// or std::runtime_error.
[[nodiscard]] std::optional<ipc::Descriptor> take_lock_file(int directory, const std::string& name,
                                                            const std::string& path, std::string* holder);

}  // namespace limpet::supervisor
