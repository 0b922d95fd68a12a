// How to probe the servers of each backend, by what its listeners need.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gateway/upstream/prober.h"

namespace starling {
namespace {

// How much a probe by this protocol finds out.
enum class Insight : uint8_t { kAccepts, kAnswers, kGreets };

Insight InsightOf(const ProtocolRow& protocol) {
  if (protocol.read_greeting != nullptr) return Insight::kGreets;
  return protocol.first_words != nullptr ? Insight::kAnswers : Insight::kAccepts;
}

bool Asks(const ListenerConfig& listener) {
  const bool wants =
      listener.dialogue.policy == Policy::kOpportunistic || listener.protocol->probe_under_require;
  return wants && listener.tls == TlsMode::kStartTls && listener.protocol->create_probe != nullptr;
}

// The listeners of one backend, put together.
class PlanMaker {
 public:
  void Add(const ListenerConfig& listener) {
    const bool first = plan_.protocol == nullptr;
    const Insight insight = InsightOf(*listener.protocol);
    if (!first && insight < insight_) return;
    if (first || insight > insight_) {
      plan_ = {};
      alike_ = false;
    }
    insight_ = insight;
    alike_ = alike_ || (plan_.protocol != nullptr && plan_.protocol != listener.protocol);
    if (plan_.protocol == nullptr || (Asks(listener) && !plan_.ask)) {
      plan_ = {.protocol = listener.protocol, .ask = Asks(listener), .options = listener.dialogue};
    }
  }
  ProbePlan Plan() const {
    if (alike_) return {.must_speak = insight_ == Insight::kGreets};
    return plan_;
  }

 private:
  ProbePlan plan_;
  Insight insight_ = Insight::kAccepts;
  bool alike_ = false;  // several protocols find out as much as each other
};

}  // namespace

std::vector<ProbePlan> PlanProbes(const Config& config) {
  std::vector<PlanMaker> makers(config.backends.size());
  for (const ListenerConfig& listener : config.listeners) {
    makers[listener.backend].Add(listener);
    if (listener.plaintext_backend >= 0) {
      makers[static_cast<size_t>(listener.plaintext_backend)].Add(listener);
    }
  }
  std::vector<ProbePlan> plans;
  plans.reserve(makers.size());
  for (const PlanMaker& maker : makers) plans.push_back(maker.Plan());
  return plans;
}

}  // namespace starling
