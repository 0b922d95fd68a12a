#include "gateway/memory/memory_reserve.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

extern "C" {
void* OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void* memory);
}

namespace starling {
namespace {

void Limit(rlim_t octets) {
  const rlimit limit{.rlim_cur = octets, .rlim_max = RLIM_INFINITY};
  EXPECT_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
}

// Each needs memory of the system, not of what the C library has left.
constexpr size_t kLarge = 900'000;

// More than the C library has left for.
constexpr size_t kPieces = 100'000;

TEST(MemoryReserve, IsForWhatCannotBeRefused) {
  const int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ASSERT_TRUE(KeepMemoryReserve(wake));
  EXPECT_FALSE(MemoryIsShort());
  std::vector<std::string> kept;
  kept.reserve(100);
  Limit(1);  // below what the process has
  bool refused = false;
  try {
    const RefusableMemory refusable;
    kept.emplace_back(kLarge, 'x');
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  EXPECT_TRUE(refused);
  EXPECT_FALSE(MemoryIsShort());
  // The TLS library gets memory from the reserve, and then the work is refused.
  void* of_library = nullptr;
  refused = false;
  try {
    const RefusableMemory refusable;
    of_library = OPENSSL_memory_alloc(kLarge);
    kept.emplace_back(100, 'x');  // the C library has so much
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  EXPECT_NE(of_library, nullptr);
  OPENSSL_memory_free(of_library);
  EXPECT_TRUE(refused);
  EXPECT_TRUE(MemoryIsShort());
  Limit(RLIM_INFINITY);
  AskForMemory();
  EXPECT_FALSE(MemoryIsShort());
  {
    const RefusableMemory refusable;
    kept.emplace_back(100, 'x');
    kept.clear();
  }
  Limit(1);
  eventfd_t asked = 0;
  EXPECT_EQ(eventfd_read(wake, &asked), 0);
  EXPECT_NE(eventfd_read(wake, &asked), 0);
  const RefusableMemory refusable;
  const NeededMemory needed;
  for (int i = 0; i < 4; ++i) kept.emplace_back(kLarge, 'x');
  EXPECT_TRUE(MemoryIsShort());
  EXPECT_EQ(eventfd_read(wake, &asked), 0);
  AskForMemory();
  EXPECT_TRUE(MemoryIsShort()) << "the system still denies memory";
  // What is given back is used again: this is far more than the reserve in all.
  for (int i = 0; i < 1'000; ++i) {
    kept.pop_back();
    kept.emplace_back(kLarge - static_cast<size_t>(i), static_cast<char>('a' + i % 26));
    EXPECT_EQ(kept.back().find_first_not_of(kept.back().front()), std::string::npos);
  }
  EXPECT_EQ(kept.front(), std::string_view(kept[1]));
  kept.clear();
  // Not even a piece of no octets reaches into its neighbour.
  std::vector<void*> empty;
  empty.reserve(kPieces);
  while (empty.size() < kPieces) empty.push_back(operator new(0));
  for (void* const piece : empty) operator delete(piece);
  for (void*& piece : empty) piece = operator new(0);
  std::ranges::sort(empty);
  EXPECT_EQ(std::ranges::adjacent_find(empty), empty.end());
  for (void* const piece : empty) operator delete(piece);
  Limit(RLIM_INFINITY);
  AskForMemory();
  EXPECT_FALSE(MemoryIsShort());
  close(wake);
}

}  // namespace
}  // namespace starling
