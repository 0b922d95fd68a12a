// What happens when the system denies memory to operator new and to the TLS library.
//
// Some work can be refused: a scrape, a reload. Its code says so by a RefusableMemory, and
// std::bad_alloc then ends that work alone; whoever began it catches the exception. All other
// allocations are few and small: what a session needs beside its blocks, a line of the log, a
// probe, the last step of a reload, a record of TLS. For these the gateway maps a reserve at its
// start, which works even when a limit is set below what the process already has. Once memory was
// denied, workers refuse new clients until the system gives some again.
//
// Not for: blocks of sessions (io/buffer_pool.h), or malloc as other C libraries use it. Both
// report the failure to their callers.
#pragma once

#include <cstddef>

namespace starling {

// Maps the reserve; operator new uses it from then on. Returns false if the system denies it. Once,
// in the main thread. The eventfd `wake_fd` becomes readable when memory is short.
bool KeepMemoryReserve(int wake_fd);

// Whether the system has denied memory a short time ago. Any thread.
bool MemoryIsShort();
// The system has denied memory to somebody else than operator new. Any thread.
void NoteMemoryDenied();

// If memory is short, asks the system whether it still is. For the main thread.
void AskForMemory();

// While one lives, operator new throws std::bad_alloc in this thread and leaves the reserve alone.
// The TLS library still gets memory, since parts of it do not look whether they got any; then the
// next operator new throws.
class RefusableMemory {
 public:
  RefusableMemory();
  ~RefusableMemory();
  RefusableMemory(const RefusableMemory&) = delete;
  RefusableMemory& operator=(const RefusableMemory&) = delete;

 private:
  const bool before_;
};

// Inside that work, a part which must not fail.
class NeededMemory {
 public:
  NeededMemory();
  ~NeededMemory();
  NeededMemory(const NeededMemory&) = delete;
  NeededMemory& operator=(const NeededMemory&) = delete;

 private:
  const bool before_;
};

}  // namespace starling
