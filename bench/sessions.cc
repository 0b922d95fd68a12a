#include "bench/sessions.h"

#include <algorithm>
#include <cstdio>

#include "bench/usage.h"

namespace starling::bench {

namespace {

// The most sessions that wait for their first message at a time.
constexpr size_t kOpeningAtOnce = 32;
// After this many seconds without progress, the gateway has failed.
constexpr double kStuckSeconds = 10;

}  // namespace

Sessions::Sessions(const LoadOptions& options, size_t count)
    : options_(options),
      client_(options, std::max<size_t>(4096, options.octets + 512)),
      slots_(count),
      message_(options.octets) {
  for (size_t i = 0; i < message_.size(); ++i) message_[i] = static_cast<uint8_t>(i * 7 + 1);
  for (size_t i = 0; i < count; ++i) slots_[i].index = i;
}

bool Sessions::Open() {
  size_t last = returned_;
  double moved = Now();
  while (returned_ < slots_.size() && !failed_) {
    while (opened_ < slots_.size() && opened_ - returned_ < kOpeningAtOnce) {
      slots_[opened_].connection.Start(poller_, opened_, client_, opened_, nullptr);
      ++opened_;
    }
    Turn(1);
    if (returned_ != last) moved = Now();
    last = returned_;
    if (Now() - moved > kStuckSeconds) Fail("no session opened in time");
  }
  return !failed_;
}

bool Sessions::Leave() {
  for (Slot& slot : slots_) {
    slot.connection.Finish();
    ended_ += slot.connection.state() == TlsConnection::State::kEnded;
  }
  const double end = Now() + kStuckSeconds;
  while (ended_ < slots_.size() && !failed_) {
    Turn(1);
    if (Now() > end) Fail("sessions did not end in time");
  }
  return !failed_;
}

void Sessions::KeepGoing() {
  keep_going_ = true;
  first_due_ = Now();
  if (options_.rate > 0) return;
  for (Slot& slot : slots_) Send(slot, Now());
}

void Sessions::Reset() { latencies_.Clear(); }

double Sessions::NextDue(const Slot& slot) const {
  const size_t number = slot.index + slot.message * slots_.size();
  return first_due_ + static_cast<double>(number) / options_.rate;
}

// Sends the due messages of sessions without a pending message. In other sessions a due
// message waits for the pending one, and its latency counts from when it was due. Returns
// the seconds until the next message is due.
double Sessions::SendDue() {
  for (;;) {
    const double due = first_due_ + static_cast<double>(due_) / options_.rate;
    const double left = due - Now();
    if (left > 0) return left;
    Slot& slot = slots_[due_++ % slots_.size()];
    if (!slot.busy && slot.connection.state() == TlsConnection::State::kOpen) {
      Send(slot, NextDue(slot));
    }
  }
}

void Sessions::Send(Slot& slot, double due) {
  slot.busy = true;
  slot.due = due;
  ++slot.message;
  slot.connection.Write(message_);
}

void Sessions::Turn(double seconds) {
  const bool at_rate = keep_going_ && options_.rate > 0;
  const double wait = at_rate ? std::min(seconds, SendDue()) : seconds;
  poller_.Wait(wait, [this](uint64_t slot, bool ended) { Ready(slots_[slot], ended); });
}

void Sessions::Ready(Slot& slot, bool ended) {
  using State = TlsConnection::State;
  const State before = slot.connection.state();
  if (before == State::kEnded) return;
  slot.connection.Advance(ended);
  const auto open = [&] { return slot.connection.state() == State::kOpen; };
  if (open() && before != State::kOpen) {
    negotiated_.Add(slot.connection.ssl());
    slot.connection.Write(message_);
  }
  uint8_t space[16'384];
  while (open()) {
    const size_t got = slot.connection.Read(space);
    if (got == 0) break;
    Check(slot, {space, got});
  }
  ended_ += slot.connection.state() == State::kEnded;
  if (slot.connection.state() == State::kFailed) Fail(slot.connection.error());
}

void Sessions::Check(Slot& slot, std::span<const uint8_t> octets) {
  if (octets.size() > message_.size() - slot.got ||
      !std::equal(octets.begin(), octets.end(),
                  message_.begin() + static_cast<ptrdiff_t>(slot.got))) {
    return Fail("the echo differs from the message");
  }
  slot.got += octets.size();
  if (slot.got < message_.size()) return;
  slot.got = 0;
  ++returned_;
  if (!keep_going_) return;
  const double now = Now();
  if (slot.busy) latencies_.Add(now - slot.due);
  slot.busy = false;
  if (options_.rate <= 0) return Send(slot, now);
  const double due = NextDue(slot);
  if (due <= now) Send(slot, due);
}

void Sessions::Fail(const char* what) {
  if (!failed_) std::fprintf(stderr, "load: a session failed: %s\n", what);
  failed_ = true;
}

}  // namespace starling::bench
