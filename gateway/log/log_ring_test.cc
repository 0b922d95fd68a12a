#include "gateway/log/log_ring.h"

#include <poll.h>

#include "gtest/gtest.h"

namespace starling {
namespace {

SessionRecord Numbered(uint64_t number) {
  SessionRecord record;
  record.session = number;
  return record;
}

bool Signalled(const LogWaker& waker) {
  pollfd fd{waker.fd(), POLLIN, 0};
  return poll(&fd, 1, 0) == 1;
}

TEST(LogRing, FirstInFirstOutUntilFull) {
  LogRing ring(4);
  SessionRecord record;
  EXPECT_FALSE(ring.Pop(record));
  uint64_t in = 0;
  uint64_t out = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.Push(Numbered(in++)));
    EXPECT_FALSE(ring.Push(Numbered(999)));
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(ring.Pop(record));
      EXPECT_EQ(record.session, out++);
    }
    EXPECT_TRUE(ring.Empty());
    EXPECT_FALSE(ring.Pop(record));
    // Another phase of the indices for the next round.
    EXPECT_TRUE(ring.Push(Numbered(in++)));
    ASSERT_TRUE(ring.Pop(record));
    EXPECT_EQ(record.session, out++);
  }
}

TEST(LogRing, CapacityIsAtLeastWhatWasAskedFor) {
  for (const size_t capacity : {1u, 2u, 3u, 5u, 1000u}) {
    LogRing ring(capacity);
    size_t taken = 0;
    while (ring.Push(Numbered(taken))) ++taken;
    EXPECT_GE(taken, capacity);
    EXPECT_LT(taken, 2 * capacity + 2);
  }
}

TEST(LogRing, PushSignalsOnlyASleeper) {
  LogWaker waker;
  LogRing ring(8, &waker);
  EXPECT_TRUE(ring.Push(Numbered(1)));
  EXPECT_FALSE(Signalled(waker));
  waker.BeginSleep();
  EXPECT_TRUE(ring.Push(Numbered(2)));
  EXPECT_TRUE(Signalled(waker));
  waker.EndSleep();
  EXPECT_FALSE(Signalled(waker));
  EXPECT_TRUE(ring.Push(Numbered(3)));
  EXPECT_FALSE(Signalled(waker));
}

TEST(LogRing, OnlyARingThatFillsUpWakesWhoRests) {
  LogWaker waker;
  LogRing ring(8, &waker);
  waker.BeginRest();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ring.Push(Numbered(i)));
  EXPECT_FALSE(Signalled(waker));
  EXPECT_TRUE(ring.Push(Numbered(3)));
  EXPECT_TRUE(Signalled(waker));
  waker.EndSleep();
  // What has been fetched meanwhile counts no more.
  SessionRecord record;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.Pop(record));
  waker.BeginRest();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ring.Push(Numbered(i)));
  EXPECT_FALSE(Signalled(waker));
}

TEST(SessionRecord, SniIsCut) {
  SessionRecord record;
  record.sni.Set(std::string(300, 'a'));
  EXPECT_EQ(record.sni.length, record.sni.text.size());
}

}  // namespace
}  // namespace starling
