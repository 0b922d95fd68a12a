// The program's operator new and operator delete, and the TLS library's allocations: malloc and
// free, and the reserve behind them.
// The reserve is divided into pieces of powers of two, each with its size before it. A piece that
// is given back waits for the next request of its size.
#include "gateway/memory/memory_reserve.h"

#include <malloc.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

namespace starling {
namespace {

// A reload puts the names of 2,048 servers and the state of 50,000 watched files to use, about
// 10 MiB. The rest is for sessions: thousands that need a few hundred octets each. Nothing is
// written to it before it is needed, so it takes address space but no memory.
constexpr size_t kReserve = size_t{32} << 20;
// Memory counts as there again when the system gives so much: more than anything that is allocated
// at once while sessions are served.
constexpr size_t kEnough = size_t{4} << 20;
constexpr size_t kHeader = alignof(std::max_align_t);

struct Free {
  Free* next;
};

std::atomic<uint8_t*> base{nullptr};
std::mutex mutex;                   // of the following two
size_t used = 0;                    // octets from `base` on that were cut into pieces
std::array<Free*, 64> free_pieces;  // by the power of two
std::atomic<bool> is_short{false};
std::atomic<int> wake{-1};
thread_local bool refusable = false;
thread_local bool library_short = false;  // the TLS library used the reserve for refusable work

bool InReserve(const void* memory) {
  const uint8_t* const first = base.load(std::memory_order_relaxed);
  const auto* const at = static_cast<const uint8_t*>(memory);
  return first != nullptr && at >= first && at < first + kReserve;
}

void* TakePiece(size_t size) {
  uint8_t* const first = base.load(std::memory_order_relaxed);
  if (first == nullptr || size > kReserve / 2) return nullptr;
  // One that is given back must hold a Free, also if no octet was asked for.
  const size_t piece = std::bit_ceil(std::max(size, sizeof(Free)) + kHeader);
  const auto power = static_cast<size_t>(std::countr_zero(piece));
  const std::lock_guard lock(mutex);
  if (Free* const found = free_pieces[power]; found != nullptr) {
    free_pieces[power] = found->next;
    return found;
  }
  if (piece > kReserve - used) return nullptr;
  uint8_t* const made = first + used;
  used += piece;
  new (made) size_t(power);
  return made + kHeader;
}

size_t PowerOf(void* piece) {
  return *reinterpret_cast<size_t*>(static_cast<uint8_t*>(piece) - kHeader);
}

void GivePiece(void* memory) {
  const size_t power = PowerOf(memory);
  const std::lock_guard lock(mutex);
  free_pieces[power] = new (memory) Free{free_pieces[power]};
}

void* AskSystem(size_t size) { return std::malloc(size == 0 ? 1 : size); }

// Null: there is no memory.
void* UseReserve(size_t size) {
  NoteMemoryDenied();
  return TakePiece(size);
}

// For operator new. Null: there is no memory, or this thread's work can be refused.
[[maybe_unused]] void* Allocate(size_t size) {
  if (refusable && library_short) return nullptr;
  void* const memory = AskSystem(size);
  return memory != nullptr || refusable ? memory : UseReserve(size);
}

// Parts of the library do not look whether they got memory, so it always gets some, and the work
// is refused as soon as our own code needs any.
void* AllocateForLibrary(size_t size) {
  if (void* const memory = AskSystem(size); memory != nullptr) return memory;
  library_short = refusable;
  return UseReserve(size);
}

void Deallocate(void* memory) {
  if (InReserve(memory)) {
    GivePiece(memory);
  } else {
    std::free(memory);
  }
}

size_t SizeOf(void* memory) {
  if (!InReserve(memory)) return malloc_usable_size(memory);
  return (size_t{1} << PowerOf(memory)) - kHeader;
}

}  // namespace

bool KeepMemoryReserve(int wake_fd) {
  void* const mapped = mmap(nullptr, kReserve, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return false;
  wake.store(wake_fd);
  base.store(static_cast<uint8_t*>(mapped));
  return true;
}

bool MemoryIsShort() { return is_short.load(std::memory_order_relaxed); }

void NoteMemoryDenied() {
  if (!is_short.exchange(true)) eventfd_write(wake.load(), 1);
}

void AskForMemory() {
  if (!MemoryIsShort()) return;
  void* const tried =
      mmap(nullptr, kEnough, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (tried == MAP_FAILED) return;
  munmap(tried, kEnough);
  is_short.store(false, std::memory_order_relaxed);
}

RefusableMemory::RefusableMemory() : before_(std::exchange(refusable, true)) {
  if (!before_) library_short = false;
}
RefusableMemory::~RefusableMemory() { refusable = before_; }

NeededMemory::NeededMemory() : before_(std::exchange(refusable, false)) {}
NeededMemory::~NeededMemory() { refusable = before_; }

}  // namespace starling

// The other forms of new and delete call these. AddressSanitizer has its own, which never fail.
#if !defined(__has_feature) || !__has_feature(address_sanitizer)
void* operator new(size_t size) {
  void* const memory = starling::Allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept { starling::Deallocate(memory); }

void operator delete(void* memory, size_t /*size*/) noexcept { operator delete(memory); }
#endif

// BoringSSL calls these instead of malloc and free where a program has them (openssl/mem.h): a
// session that is there goes on when its next record needs a buffer. Whoever frees must wipe.
extern "C" {
void* OPENSSL_memory_alloc(size_t size) { return starling::AllocateForLibrary(size); }
size_t OPENSSL_memory_get_size(void* memory) { return starling::SizeOf(memory); }
void OPENSSL_memory_free(void* memory) {
  explicit_bzero(memory, starling::SizeOf(memory));
  starling::Deallocate(memory);
}
}
