// Descriptors 0, 1 and 2 of a process that was started without them. Left free, they would be given to the
// next thing that is opened, and what is printed would go into a lock file or to a client.
#pragma once

namespace limpet::base {

/// Whichever is closed becomes /dev/null, open for reading only: so that writing fails, and is counted, as on
/// a closed one. First thing in a process.
void fill_standard_descriptors() noexcept;

}  // namespace limpet::base
