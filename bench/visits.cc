#include "bench/visits.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "bench/usage.h"

namespace starling::bench {

namespace {

constexpr double kLongestWait = 0.01;
constexpr double kTicketSeconds = 5;
constexpr double kStuckSeconds = 5;

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

Visits::Visits(const LoadOptions& options, const Script* script)
    : options_(options), script_(script), client_(options), slots_(options.connections) {}

bool Visits::FetchTicket() {
  TlsConnection& connection = slots_[0].connection;
  connection.Start(poller_, 0, client_, number_++, nullptr);
  bool written = false;
  const double end = Now() + kTicketSeconds;
  while (client_.ticket() == nullptr && Now() < end) {
    poller_.Wait(kLongestWait, [&](uint64_t, bool ended) {
      connection.Advance(ended);
      if (connection.state() != TlsConnection::State::kOpen) return;
      uint8_t octet[1] = {'x'};
      if (!std::exchange(written, true)) connection.Write(octet);
      while (connection.state() == TlsConnection::State::kOpen && connection.Read(octet) > 0) {
      }
    });
  }
  connection.Close();
  session_ = bssl::UpRef(client_.ticket());
  return session_ != nullptr;
}

void Visits::Begin() {
  first_due_ = Now();
  for (size_t i = 0; i < slots_.size(); ++i) free_.push_back(i);
}

void Visits::RunFor(double seconds) {
  const double end = Now() + seconds;
  while (Now() < end) {
    poller_.Wait(StartFree(), [this](uint64_t index, bool ended) { Ready(index, ended); });
  }
}

void Visits::Reset() {
  done_ = resumed_ = lost_ = 0;
  connect_.Clear();
  open_.Clear();
  visit_.Clear();
}

double Visits::StartFree() {
  const bool closed = options_.rate <= 0;
  // Starts each slot at most once per call, because one that fails at once is free again.
  for (size_t left = free_.size(); left > 0; --left) {
    const double due = closed ? Now() : first_due_ + static_cast<double>(due_) / options_.rate;
    if (due > Now()) return std::min(due - Now(), kLongestWait);
    const size_t index = free_.front();
    free_.pop_front();
    ++due_;
    Start(index, due);
  }
  // In an open loop without a free slot the next visit waits, and its latency counts from
  // when it was due.
  return kLongestWait;
}

void Visits::Start(size_t index, double due) {
  Slot& slot = slots_[index];
  slot.due = due;
  slot.spoken = false;
  slot.connection.Start(poller_, index, client_, number_++, session_.get());
  if (slot.connection.state() != TlsConnection::State::kFailed) return;
  Lost(slot.connection);
  slot.connection.Close();
  free_.push_back(index);
}

void Visits::Ready(size_t index, bool ended) {
  Slot& slot = slots_[index];
  TlsConnection& connection = slot.connection;
  using State = TlsConnection::State;
  if (connection.state() == State::kIdle) return;
  connection.Advance(ended);
  if (connection.state() == State::kOpen && !slot.spoken) Opened(slot);
  if (connection.state() == State::kOpen && script_ != nullptr) Talk(slot);
  if (connection.state() == State::kEnded || connection.state() == State::kFailed) Ended(index);
}

void Visits::Opened(Slot& slot) {
  slot.spoken = true;
  connect_.Add(slot.connection.connected() - slot.due);
  open_.Add(slot.connection.opened() - slot.due);
  negotiated_.Add(slot.connection.ssl());
  if (script_ == nullptr) {
    slot.connection.Finish();
  } else {
    slot.dialogue.Begin(*script_, client_.starttls() == nullptr ? 0 : 1);
  }
}

void Visits::Talk(Slot& slot) {
  using State = Dialogue::State;
  const auto open = [&] { return slot.connection.state() == TlsConnection::State::kOpen; };
  uint8_t space[8192];
  while (open() && slot.dialogue.state() != State::kDone) {
    if (slot.dialogue.state() == State::kFailed) return slot.connection.Fail("refused");
    if (slot.dialogue.state() == State::kSay) {
      slot.connection.Write(Bytes(slot.dialogue.Say()));
      continue;
    }
    const size_t got = slot.connection.Read(space);
    if (got == 0) return;
    // Ignores octets after the expected answer.
    slot.dialogue.Take({reinterpret_cast<const char*>(space), got});
  }
  if (!open()) return;
  visit_.Add(Now() - slot.due);
  slot.connection.Finish();
}

void Visits::Ended(size_t index) {
  TlsConnection& connection = slots_[index].connection;
  if (connection.state() == TlsConnection::State::kEnded) {
    ++done_;
    resumed_ += connection.resumed();
  } else {
    Lost(connection);
  }
  if (options_.rate > 0) {
    connection.Close();
    free_.push_back(index);
  } else {
    Start(index, Now());
  }
}

void Visits::Lost(const TlsConnection& connection) {
  constexpr size_t kToldOf = 5;
  ++lost_;
  if (++told_of_ <= kToldOf) std::printf("# lost: %s\n", connection.error());
}

void Visits::Print() const {
  size_t stuck = 0;
  for (const Slot& slot : slots_) {
    const bool idle = slot.connection.state() == TlsConnection::State::kIdle;
    stuck += !idle && Now() - slot.connection.started() > kStuckSeconds;
  }
  std::printf("resumed=%zu\nlost=%zu\nstuck=%zu\n", resumed_, lost_, stuck);
  negotiated_.Print();
  connect_.Print("connect", "ms", 1e3);
  open_.Print("handshake", "ms", 1e3);
  visit_.Print("visit", "ms", 1e3);
}

}  // namespace starling::bench
