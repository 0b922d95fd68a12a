// Decides how the sessions of a calm run must end.
#include <algorithm>

#include "tests/sim/scenario.h"

namespace starling::sim {
namespace {

std::vector<EndReason> WithServers(const SessionPlan& plan) {
  switch (plan.listener->servers) {
    case ServerKind::kDown:
      return {EndReason::kBackendUnavailable};
    case ServerKind::kBlackHole:
      return {EndReason::kConnectDeadline};
    case ServerKind::kNeverAccepts:
      // The first clients fill the backlog and wait for a greeting; the others retry
      // until their deadline.
      return {EndReason::kGreetingDeadline, EndReason::kBackendUnavailable,
              EndReason::kConnectDeadline};
    case ServerKind::kUp:
      break;
  }
  return {};
}

std::vector<EndReason> OfStream(const SessionPlan& plan) {
  const bool greets = plan.listener->config->protocol->server_first;
  const EndReason orderly =
      plan.client_ends_first ? EndReason::kClientClosed : EndReason::kBackendClosed;
  switch (plan.backend) {
    case BackendKind::kNormal:
    case BackendKind::kCloseMid:
      return {orderly};
    case BackendKind::kResetMid:
      // Its last octets, and the reset, come after the client's end.
      if (plan.client_ends_first) return {EndReason::kClientClosed};
      // A socket reports a reset once. If a send had already accepted some octets, nobody
      // sees the report.
      if (plan.listener->tls_out) {
        return {EndReason::kBackendReset, EndReason::kBackendTruncated};
      }
      return {EndReason::kBackendReset, EndReason::kBackendClosed};
    case BackendKind::kTruncateMid:
      return {plan.client_ends_first ? EndReason::kClientClosed : EndReason::kBackendTruncated};
    case BackendKind::kTlsStall:
      // The other server may be a stranger, which ends the tries before the time does.
      return {EndReason::kConnectDeadline, EndReason::kBackendUnavailable};
    case BackendKind::kTlsGarbage:
      return {EndReason::kBackendUnavailable};
    case BackendKind::kRefuse:
      return {EndReason::kBackendRefused};
    case BackendKind::kPreauth:
      return {EndReason::kBackendPreauth};
    case BackendKind::kGarbage:
      // The other server may be down.
      return {EndReason::kBackendProtocol, EndReason::kBackendUnavailable};
    case BackendKind::kSilent:
      // The other server may be down, or a stranger.
      if (greets) return {EndReason::kGreetingDeadline, EndReason::kBackendUnavailable};
      return {plan.client_ends_first ? EndReason::kClientClosed : EndReason::kIdleDeadline};
    case BackendKind::kCloseMute:
      if (greets) return {EndReason::kBackendUnavailable};
      return {EndReason::kBackendClosed, EndReason::kClientClosed};
    case BackendKind::kSickFirst:
      // The other server may be down, or a stranger.
      if (!plan.SickServerSpeaks()) {
        return {orderly, EndReason::kBackendUnavailable, EndReason::kGreetingDeadline};
      }
      // What the sick one says is passed on then.
      return {orderly,
              EndReason::kBackendUnavailable,
              EndReason::kGreetingDeadline,
              EndReason::kBackendProtocol,
              EndReason::kBackendTooLong,
              EndReason::kIdleDeadline,
              EndReason::kClientClosed,
              EndReason::kBackendClosed};
    case BackendKind::kNeverEnds:
      return {plan.client_ends_first ? EndReason::kClientClosed : EndReason::kIdleDeadline};
    case BackendKind::kCount:
      break;
  }
  return {};
}

}  // namespace

std::vector<EndReason> ExpectedReasons(const SessionPlan& plan) {
  if (plan.listener->servers != ServerKind::kUp) return WithServers(plan);
  switch (plan.client) {
    case ClientKind::kStream:
      return OfStream(plan);
    case ClientKind::kMailThenUpgrade:
      return {plan.client_ends_first ? EndReason::kClientClosed : EndReason::kBackendClosed};
    case ClientKind::kPlainMail:
      return {EndReason::kClientClosed};
    case ClientKind::kPlainMailReset:
    case ClientKind::kResetEarly:
      return {EndReason::kClientReset};
    case ClientKind::kResetInRelay:
      return {EndReason::kClientReset, EndReason::kClientTruncated};
    case ClientKind::kQuit:
      return {EndReason::kGoodbye};
    case ClientKind::kLeaveEarly:
      return {EndReason::kClientLeftEarly};
    case ClientKind::kSilent:
    case ClientKind::kDrip:
      return {EndReason::kPreRelayDeadline};
    case ClientKind::kInjectHello:
    case ClientKind::kInjectCommand:
    case ClientKind::kInjectLater:
    case ClientKind::kPlainAfterUpgrade:
      return {EndReason::kPlaintextInjection};
    case ClientKind::kPlainOnTls:
      return {EndReason::kPlainOnTlsPort};
    case ClientKind::kTlsOnPlain:
      return {EndReason::kTlsOnPlainPort};
    case ClientKind::kHttp:
      return {EndReason::kCrossProtocol};
    case ClientKind::kOverlong:
      return {EndReason::kLineTooLong};
    case ClientKind::kNul:
      return {EndReason::kBadOctet};
    case ClientKind::kManyCommands:
      return {EndReason::kTooManyErrors};
    case ClientKind::kHelloStall:
      return {EndReason::kHandshakeDeadline};
    case ClientKind::kBadHello:
    case ClientKind::kOldTls:
    case ClientKind::kLeaveInHandshake:
      return {EndReason::kHandshakeFailed};
    case ClientKind::kHalfRecord:
      return {EndReason::kRecordDeadline, EndReason::kIdleDeadline};
    case ClientKind::kCorruptRecord:
      return {EndReason::kTlsError};
    case ClientKind::kIdle:
      return {EndReason::kIdleDeadline};
    case ClientKind::kTruncate:
      return {EndReason::kClientTruncated};
    case ClientKind::kProxyBad:
      return {EndReason::kProxyHeaderBad};
    case ClientKind::kProxyStall:
      return {EndReason::kProxyHeaderDeadline};
    case ClientKind::kProxyUntrusted:
      return {EndReason::kProxyHeaderUntrusted};
    case ClientKind::kCount:
      break;
  }
  return {};
}

bool ExpectsDelivery(const SessionPlan& plan) {
  if (plan.listener->servers != ServerKind::kUp || plan.backend != BackendKind::kNormal) {
    return false;
  }
  return plan.client == ClientKind::kStream || plan.client == ClientKind::kMailThenUpgrade ||
         plan.client == ClientKind::kPlainMail;
}

}  // namespace starling::sim
