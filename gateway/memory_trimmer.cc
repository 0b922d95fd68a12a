#include "gateway/memory_trimmer.h"

#include <malloc.h>

namespace starling {

// The C library holds the lock of one arena after the other meanwhile. A worker that
// allocates waits for its own; one that relays does not allocate.
void MemoryTrimmer::TrimIfAsked() {
  if (asked_.Take()) malloc_trim(0);
}

}  // namespace starling
