#include "ipc/ring/writer.h"

#include "ipc/ring/writer_body.h"

namespace limpet::ipc {

template class BasicRingWriter<CommitOrder::IntentPayloadTail>;

}  // namespace limpet::ipc
