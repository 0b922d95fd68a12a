// A side: what it keeps, what waits for room, and how it ends.
#include "gateway/session/side.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "gateway/session/side_testing.h"

namespace starling {
namespace {

class SideTest : public testing::Test {
 protected:
  // Fills the output with records until no more finds room, and asks to send them.
  std::string FillOutput(TestSide& at) {
    std::string filled;
    const std::string record = Pattern(4'000);
    while (at.side.Seal(worker_, Octets(record)) == record.size()) filled += record;
    size_t sealed = 0;
    while ((sealed = at.side.Seal(worker_, Octets("x"))) == 1) filled += "x";
    EXPECT_TRUE(at.Send());
    return filled;
  }

  SideWorker worker_;
  std::unique_ptr<TlsContext> context_ = MakeTestContext();
  TestSide tls_{worker_, 1};
  TestSide plain_{worker_, 2};
};

TEST_F(SideTest, TagsSayWhichSideAndWhoseItIs) {
  FakeRing::Asked asked;
  plain_.side.socket = SocketSide::kOpened;
  plain_.side.Receive(worker_, kTestOwner);
  ASSERT_TRUE(worker_.fake.Take(2, Op::kRecv, &asked));
  EXPECT_EQ(asked.tag, (Tag{Op::kRecv, 3, 9, SocketSide::kOpened}));
  plain_.side.Finished(kOpRecv);
}

TEST_F(SideTest, EachOperationIsAskedForOnce) {
  FakeRing::Asked asked;
  plain_.side.Receive(worker_, kTestOwner);
  plain_.side.Receive(worker_, kTestOwner);
  EXPECT_TRUE(worker_.fake.Take(2, Op::kRecv, &asked));
  EXPECT_FALSE(worker_.fake.Take(2, Op::kRecv, &asked));
  plain_.side.Close(worker_, kTestOwner);
  plain_.side.Close(worker_, kTestOwner);
  EXPECT_TRUE(worker_.fake.Take(2, Op::kClose, &asked));
  EXPECT_FALSE(worker_.fake.Take(2, Op::kClose, &asked));
  plain_.side.Finished(kOpRecv);
  plain_.side.Closed();
  EXPECT_FALSE(plain_.side.open());
}

TEST_F(SideTest, ReceiveBuffersGoBackWithinTheTurn) {
  plain_.Arrive("first ");
  EXPECT_EQ(worker_.fake.BuffersOut(), 1u);
  EXPECT_TRUE(plain_.side.StashChunk(worker_));
  EXPECT_EQ(worker_.fake.BuffersOut(), 0u);
  plain_.Arrive("second");
  EXPECT_EQ(Text(plain_.side.Input(worker_)), "first second");
  plain_.side.Consume(worker_, 6);
  EXPECT_EQ(Text(plain_.side.Input(worker_)), "second");
  plain_.side.Consume(worker_, 6);
  EXPECT_EQ(worker_.BlocksOut(), 0u);  // an idle side holds nothing
}

TEST_F(SideTest, TheEndOfDataGoesBehindAllThatIsToBeSent) {
  FakeRing::Asked asked;
  ASSERT_EQ(plain_.side.Write(worker_, Octets("bye")), Written::kAll);
  plain_.side.EndOutput(worker_, kTestOwner);
  EXPECT_FALSE(worker_.fake.Take(2, Op::kShutdown, &asked));
  ASSERT_TRUE(plain_.Send());
  plain_.side.EndOutput(worker_, kTestOwner);
  EXPECT_FALSE(worker_.fake.Take(2, Op::kShutdown, &asked));
  EXPECT_EQ(plain_.Sent(1), "b");
  plain_.side.EndOutput(worker_, kTestOwner);
  EXPECT_FALSE(worker_.fake.Take(2, Op::kShutdown, &asked));
  EXPECT_EQ(plain_.SendAll(), "ye");
  plain_.side.EndOutput(worker_, kTestOwner);
  EXPECT_TRUE(worker_.fake.Take(2, Op::kShutdown, &asked));
  EXPECT_TRUE(plain_.side.write_ended());
}

TEST_F(SideTest, AResetIsToldByEitherDirection) {
  plain_.ArriveEnd(-ECONNRESET);
  EXPECT_TRUE(plain_.side.receive_failed() && plain_.side.was_reset());
  EXPECT_TRUE(plain_.side.input_over());
  EXPECT_FALSE(plain_.side.ended());

  TestSide sends(worker_, 5);
  ASSERT_EQ(sends.side.Write(worker_, Octets("hello")), Written::kAll);
  ASSERT_TRUE(sends.Send());
  sends.side.Sent(worker_, {.result = -ECONNRESET});
  EXPECT_TRUE(sends.side.send_failed() && sends.side.was_reset());
  EXPECT_FALSE(sends.Send());
}

TEST_F(SideTest, OpensAndSealsInsideTls) {
  tls_.BeginTls(*context_);
  tls_.Arrive(tls_.PeerWrites("a001 NOOP\r\n"));
  EXPECT_EQ(Text(tls_.side.Input(worker_)), "a001 NOOP\r\n");
  tls_.side.Consume(worker_, 5);
  EXPECT_EQ(Text(tls_.side.Input(worker_)), "NOOP\r\n");
  tls_.side.Consume(worker_, 6);
  ASSERT_EQ(tls_.side.Write(worker_, Octets("a001 OK\r\n")), Written::kAll);
  EXPECT_EQ(tls_.PeerReads(), "a001 OK\r\n");
  EXPECT_EQ(worker_.BlocksOut(), 0u);
}

TEST_F(SideTest, WritesAllOfAMessageOrNothing) {
  tls_.BeginTls(*context_);
  const std::string filled = FillOutput(tls_);
  EXPECT_EQ(tls_.side.Write(worker_, Octets("never half of this")), Written::kNoRoom);
  EXPECT_FALSE(tls_.side.send_failed());
  tls_.client->input += tls_.Sent();
  EXPECT_EQ(tls_.side.Write(worker_, Octets("never half of this")), Written::kAll);
  EXPECT_EQ(tls_.PeerReads(), filled + "never half of this");
}

TEST_F(SideTest, PromisedRoomIsThereUpToALongestLine) {
  tls_.BeginTls(*context_);
  const std::string line = Pattern(16'384);
  ASSERT_GE(tls_.side.WriteRoom(worker_, 2'048), line.size());
  ASSERT_EQ(tls_.side.Write(worker_, Octets(line)), Written::kAll);
  EXPECT_EQ(tls_.PeerReads(), line);
}

TEST_F(SideTest, AWriteThatTlsRefusesBreaksTheOutput) {
  tls_.BeginTls(*context_);
  tls_.Arrive("no record at all");
  EXPECT_TRUE(tls_.side.Input(worker_).empty());
  ASSERT_TRUE(tls_.side.tls_failed());
  EXPECT_EQ(tls_.side.Write(worker_, Octets("lost")), Written::kBroken);
  EXPECT_TRUE(tls_.side.seal_failed());
}

// Where the worker has no block left, there is no room even for an alert.
TEST_F(SideTest, AnAlertWaitsForRoomAndIsNotDropped) {
  SideWorker poor(1, 0);
  TestSide tls(poor, 1);
  tls.BeginTls(*context_);
  uint8_t* const other = poor.pool.Take();
  std::string record = tls.PeerWrites("damaged");
  record.back() = static_cast<char>(record.back() ^ 1);
  tls.Arrive(record);
  uint8_t space[100];
  EXPECT_EQ(tls.side.Take(poor, space), 0u);
  ASSERT_TRUE(tls.side.tls_failed());
  EXPECT_FALSE(tls.side.nothing_to_send());
  EXPECT_EQ(tls.SendAll(), "");
  poor.pool.Give(other);
  EXPECT_EQ(tls.PeerReads(), "");
  EXPECT_EQ(tls.client->error(), "SSLV3_ALERT_BAD_RECORD_MAC");
  EXPECT_TRUE(tls.side.flushed());
}

TEST_F(SideTest, AnAnswerThatWaitsIsOvertakenByNothing) {
  SideWorker poor(1, 0);
  TestSide tls(poor, 1);
  tls.BeginTls(*context_);
  tls.side.tls->answers = std::make_unique<std::string>("an alert, say");
  uint8_t* const other = poor.pool.Take();
  EXPECT_EQ(tls.side.Write(poor, Octets("later")), Written::kNoRoom);
  EXPECT_EQ(tls.side.Seal(poor, Octets("later")), 0u);
  tls.side.SendCloseNotify(poor);
  EXPECT_EQ(tls.side.tls->close_notify, CloseNotify::kDue);
  poor.pool.Give(other);
  EXPECT_TRUE(tls.SendAll().starts_with("an alert, say"));
  EXPECT_TRUE(tls.side.close_notify_sent());
}

TEST_F(SideTest, TheAnswerToAKeyUpdateComesInItsPlace) {
  TestClientOptions options;
  options.min_version = 0x0304;
  tls_.BeginTls(*context_, options);
  const std::string filled = FillOutput(tls_);
  tls_.client->KeyUpdate();
  tls_.Arrive(tls_.PeerWrites("under new keys"));
  EXPECT_EQ(Text(tls_.side.Input(worker_)), "under new keys");
  tls_.client->input += tls_.Sent();
  ASSERT_EQ(tls_.side.Write(worker_, Octets("and so is this")), Written::kAll);
  EXPECT_EQ(tls_.PeerReads(), filled + "and so is this");
  EXPECT_FALSE(tls_.client->failed()) << tls_.client->error();
}

TEST_F(SideTest, CloseNotifyWaitsForRoomAndIsTheLast) {
  tls_.BeginTls(*context_);
  const std::string filled = FillOutput(tls_);
  tls_.side.SendCloseNotify(worker_);
  EXPECT_EQ(tls_.side.tls->close_notify, CloseNotify::kDue);
  EXPECT_EQ(tls_.side.Seal(worker_, Octets("too late")), 0u);
  tls_.client->input += tls_.Sent();
  EXPECT_EQ(tls_.PeerReads(), filled);
  EXPECT_TRUE(tls_.side.close_notify_sent());
  EXPECT_TRUE(tls_.client->closed());
}

TEST_F(SideTest, AnEndWithoutCloseNotifyIsATruncation) {
  tls_.BeginTls(*context_);
  tls_.Arrive(tls_.PeerWrites("half a li"));
  EXPECT_EQ(Text(tls_.side.Input(worker_)), "half a li");
  tls_.ArriveEnd();
  EXPECT_EQ(Text(tls_.side.Input(worker_)), "half a li");
  EXPECT_FALSE(tls_.side.ended());
  EXPECT_FALSE(tls_.side.cut_off());  // what came before is read first
  tls_.side.Consume(worker_, 9);
  EXPECT_TRUE(tls_.side.cut_off() && tls_.side.input_over());
}

TEST_F(SideTest, CloseNotifyIsTheEnd) {
  tls_.BeginTls(*context_);
  tls_.client->Write("last");
  tls_.client->CloseNotify();
  tls_.Arrive(std::exchange(tls_.client->output, {}));
  EXPECT_EQ(Text(tls_.side.Input(worker_)), "last");
  EXPECT_TRUE(tls_.side.ended());
  EXPECT_FALSE(tls_.side.input_over());
  tls_.side.Consume(worker_, 4);
  EXPECT_TRUE(tls_.side.input_over());
  EXPECT_FALSE(tls_.side.cut_off());
}

TEST_F(SideTest, TheClockOfARecordRunsWhileItsRestIsWaitedFor) {
  tls_.BeginTls(*context_);
  const MonoTime begun{std::chrono::seconds(5)};
  const std::string record = tls_.PeerWrites("record");
  tls_.Arrive(record.substr(0, 8));
  EXPECT_TRUE(tls_.side.Input(worker_).empty());
  tls_.side.TimeRecord(begun, /*waits=*/false);
  EXPECT_EQ(tls_.side.tls->record_at, kNever);
  tls_.side.TimeRecord(begun, /*waits=*/true);
  tls_.side.TimeRecord(begun + std::chrono::seconds(1), /*waits=*/true);
  EXPECT_EQ(tls_.side.tls->record_at, begun);
  tls_.Arrive(record.substr(8));
  EXPECT_EQ(Text(tls_.side.Input(worker_)), "record");
  tls_.side.TimeRecord(begun + std::chrono::seconds(2), /*waits=*/true);
  EXPECT_EQ(tls_.side.tls->record_at, kNever);
}

TEST_F(SideTest, WithoutBlocksInputAndOutputWait) {
  SideWorker poor(1, 0, 0);
  TestSide a(poor, 1);
  TestSide b(poor, 2);
  ASSERT_EQ(a.side.Write(poor, Octets("takes the only block")), Written::kAll);
  b.Arrive("kept");
  EXPECT_FALSE(b.side.StashChunk(poor));
  EXPECT_TRUE(poor.out_of_blocks);
  EXPECT_EQ(b.side.Write(poor, Octets("waits")), Written::kNoRoom);
  EXPECT_EQ(Text(b.side.Input(poor)), "kept");
  EXPECT_EQ(a.SendAll(), "takes the only block");
  EXPECT_TRUE(b.side.StashChunk(poor));
  EXPECT_EQ(Text(b.side.Input(poor)), "kept");
}

// What was received and can't be used yet takes the smallest block that has room for it.
TEST_F(SideTest, AStashGrowsWithWhatIsInIt) {
  struct Row {
    size_t octets;  // more
    size_t tiny, small, full;
  };
  const std::string text = Pattern(9'000);
  size_t sent = 0;
  for (const Row& row : {Row{1, 1, 0, 0}, Row{511, 1, 0, 0}, Row{1, 0, 1, 0}, Row{1'535, 0, 1, 0},
                         Row{1, 0, 0, 1}, Row{5'000, 0, 0, 1}}) {
    plain_.Arrive(text.substr(sent, row.octets));
    sent += row.octets;
    ASSERT_TRUE(plain_.side.StashChunk(worker_));
    EXPECT_EQ(worker_.tiny_pool.in_use(), row.tiny) << sent;
    EXPECT_EQ(worker_.small_pool.in_use(), row.small) << sent;
    EXPECT_EQ(worker_.pool.in_use(), row.full) << sent;
    ASSERT_EQ(Text(plain_.side.Input(worker_)), text.substr(0, sent));
  }
  EXPECT_EQ(worker_.OctetsOut(), BufferPool::kBlockSize);
  plain_.side.Consume(worker_, sent);
  EXPECT_EQ(worker_.OctetsOut(), 0u);
}

TEST_F(SideTest, WhatOutgrowsItsBlockWaitsForALargerOne) {
  SideWorker poor(1, 0);
  TestSide side(poor, 1);
  const std::string text = Pattern(2'500);
  side.Arrive(text.substr(0, 2'000));
  ASSERT_TRUE(side.side.StashChunk(poor));
  uint8_t* const other = poor.pool.Take();
  side.Arrive(text.substr(2'000));
  poor.out_of_blocks = false;
  EXPECT_FALSE(side.side.StashChunk(poor));
  EXPECT_TRUE(poor.out_of_blocks);
  EXPECT_EQ(Text(side.side.Input(poor)), text.substr(0, 2'000)) << "what is there can be used";
  side.side.Consume(poor, 100);
  poor.pool.Give(other);
  EXPECT_EQ(Text(side.side.Input(poor)), text.substr(100));
  side.side.Consume(poor, 2'400);
  EXPECT_EQ(poor.BlocksOut() + poor.StashesOut(), 0u);
}

// A reader that waits for the end of a line gets all of it, record by record.
TEST_F(SideTest, OpenedOctetsGrowTheSameWay) {
  tls_.BeginTls(*context_);
  const std::string text = Pattern(6'000);
  for (size_t sent = 0; sent < text.size(); sent += 30) {
    tls_.Arrive(tls_.PeerWrites(text.substr(sent, 30)));
    ASSERT_EQ(Text(tls_.side.Input(worker_)), text.substr(0, sent + 30));
    if (sent == 0) EXPECT_EQ(worker_.OctetsOut(), BufferPool::kTinyBlockSize);
  }
  tls_.side.Consume(worker_, text.size());
  EXPECT_EQ(worker_.OctetsOut(), 0u);
}

}  // namespace
}  // namespace starling
