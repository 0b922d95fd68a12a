// Two producers, each with its ring, and one consumer that sleeps: every record
// arrives once, whole and in order, and no wake-up is lost (it would hang). It
// has its own main, since GoogleTest is not built for the thread sanitizer.
#include <poll.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "gateway/log/log_ring.h"

namespace {

using namespace starling;

constexpr uint64_t kRecords = 100'000;

uint64_t Produce(LogRing& ring) {
  uint64_t dropped = 0;
  for (uint64_t i = 1; i <= kRecords; ++i) {
    SessionRecord record;
    record.session = i;
    record.upstream_out = ~i;
    if (!ring.Push(record)) ++dropped;
    if (i % 64 == 0) std::this_thread::yield();
  }
  // The last one must arrive: it ends the test.
  SessionRecord last;
  last.session = kRecords + 1;
  last.upstream_out = ~last.session;
  while (!ring.Push(last)) std::this_thread::yield();
  return dropped;
}

}  // namespace

int main() {
  LogWaker waker;
  LogRing rings[] = {LogRing(64, &waker), LogRing(64, &waker)};
  std::atomic<uint64_t> dropped{0};
  std::thread producers[] = {std::thread([&] { dropped += Produce(rings[0]); }),
                             std::thread([&] { dropped += Produce(rings[1]); })};
  uint64_t seen[2] = {0, 0};
  uint64_t got = 0;
  bool whole = true;
  while (seen[0] <= kRecords || seen[1] <= kRecords) {
    bool found = false;
    for (int i = 0; i < 2; ++i) {
      SessionRecord record;
      while (rings[i].Pop(record)) {
        found = true;
        whole = whole && record.session > seen[i] && record.upstream_out == ~record.session;
        seen[i] = record.session;
        ++got;
      }
    }
    if (found) continue;
    waker.BeginSleep();
    if (rings[0].Empty() && rings[1].Empty()) {
      pollfd wait{waker.fd(), POLLIN, 0};
      poll(&wait, 1, -1);
    }
    waker.EndSleep();
  }
  for (std::thread& producer : producers) producer.join();
  const bool counted = got + dropped == 2 * (kRecords + 1);
  if (!whole) std::puts("FAILED: a record out of order or torn");
  if (!counted) std::puts("FAILED: a record lost without being counted");
  return whole && counted ? 0 : 1;
}
