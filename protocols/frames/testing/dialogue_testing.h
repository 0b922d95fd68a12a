// A table of dialogues: what the client sends after the greeting, and the complete result,
// however the octets are cut.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_driver.h"

namespace starling {

struct DialogueCase {
  std::string name;
  std::vector<std::string> writes;  // the client's; the dialogue sees each before the next
  std::string said = {};            // after the greeting
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;
  std::string left = {};  // not consumed: what the session finds after the upgrade
  std::vector<Signal> signals = {};
  std::vector<Attack> attacks = {};
  bool accept_bare_lf = false;
};

inline void RunCase(const DialogueCase& c, DialogueDriver::Create create, DialogueOptions options,
                    size_t piece) {
  SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
  options.accept_bare_lf = c.accept_bare_lf;
  DialogueDriver driver(create, options);
  driver.Raise(EventKind::kStart);
  driver.TakeToClient();
  for (const std::string& write : c.writes) driver.Client(write, piece);
  EXPECT_EQ(driver.TakeToClient(), c.said);
  EXPECT_EQ(driver.verdict(), c.verdict);
  EXPECT_EQ(Label(driver.reason()), Label(c.reason));
  if (c.verdict != Verdict::kClose) {
    EXPECT_EQ(driver.client_left(), c.left);
  }
  Step expected;
  for (Signal s : c.signals) expected.Note(s);
  for (Attack a : c.attacks) expected.Note(a);
  EXPECT_EQ(driver.signals(), expected.signals);
  EXPECT_EQ(driver.attacks(), expected.attacks);
}

inline void RunCases(const std::vector<DialogueCase>& cases, DialogueDriver::Create create,
                     const DialogueOptions& options) {
  for (const DialogueCase& c : cases) {
    for (size_t piece : {std::string::npos, size_t{1}, size_t{2}, size_t{7}}) {
      RunCase(c, create, options, piece);
    }
  }
}

// An event that ends a session, with what is said.
struct EventCase {
  EventKind kind;
  EndReason reason;
  std::string said;
};

// What a protocol says when there is no server, at a deadline, and when the gateway drains.
struct EndWords {
  std::string down, late, stop;

  std::vector<EventCase> Cases() const {
    return {{EventKind::kLegFailed, EndReason::kBackendUnavailable, down},
            {EventKind::kGreetingDeadline, EndReason::kGreetingDeadline, down},
            {EventKind::kBackendEnd, EndReason::kBackendProtocol, down},
            {EventKind::kDeadline, EndReason::kPreRelayDeadline, late},
            {EventKind::kDrain, EndReason::kDrainDeadline, stop},
            {EventKind::kClientEnd, EndReason::kClientLeftEarly, ""}};
  }
};

// `leg`: inside TLS a leg is up. Without one where the relay begins with the leg.
// `late_inside`: instead of `words.late` inside TLS, where it is another.
inline void RunEndWords(const EndWords& words, const std::string& upgrade,
                        DialogueDriver::Create create, const DialogueOptions& options, bool leg,
                        const std::string& late_inside = {}) {
  for (const EventCase& c : words.Cases()) {
    for (const bool inside_tls : {false, true}) {
      SCOPED_TRACE(std::string(Label(c.reason)) + (inside_tls ? " inside TLS" : " before TLS"));
      DialogueDriver driver(create, options);
      driver.Raise(EventKind::kStart);
      if (inside_tls) {
        driver.Client(upgrade);
        leg ? driver.EnterTls() : driver.Raise(EventKind::kUpgraded);
      }
      driver.TakeToClient();
      driver.Raise(c.kind, inside_tls);
      EXPECT_EQ(driver.verdict(), Verdict::kClose);
      EXPECT_EQ(Label(driver.reason()), Label(c.reason));
      const bool other = inside_tls && c.kind == EventKind::kDeadline && !late_inside.empty();
      EXPECT_EQ(driver.TakeToClient(), other ? late_inside : c.said);
    }
  }
}

}  // namespace starling
