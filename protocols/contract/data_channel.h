// Data channels: pairs of connections beside the control connection. The gateway joins one
// from the client with one to or from the backend. Only FTP has them. A negotiator with
// data channels is also a DataChannelUser. Its protocol's row says how to get at that
// interface (protocol_row.h).
//
// Not for: the sockets of a channel (gateway/session/data_channel.h).
#pragma once

#include <cstdint>

#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"

namespace starling {

// A session has one channel at a time. A new one replaces the old one.
enum class DataAsk : uint8_t {
  kNone,
  kFromClient,  // listen for the client, and connect to `port` of the leg's server
  kFromServer,  // listen for the leg's server, and connect to `port` of the client
  kDrop,  // reset the channel, whatever its state; OnData reports nothing about it any more. Needed
          // also after a channel that was not whole: until then the gateway keeps the server's side
          // open
};

struct DataRequest {
  DataAsk ask = DataAsk::kNone;
  uint16_t port = 0;
  uint16_t reply = 0;  // with kDrop: the code of the backend's reply that caused it, for the log
};

// How a data channel has ended.
enum class DataOutcome : uint8_t {
  kWhole,      // both sides have ended their data, and the gateway has passed on all of it
  kCut,        // one side broke off
  kTlsFailed,  // the TLS handshake with the client failed
  kNotMade,    // one of the connections was never established
};

// News about a data channel that the negotiator has requested.
struct DataNews {
  const Endpoint* ready_at =
      nullptr;  // the gateway listens at this address; null: the channel is over
  DataOutcome outcome = DataOutcome::kNotMade;
};

class DataChannelUser {
 public:
  // Returns what the last call has requested. The gateway takes it after each call of the
  // negotiator, and calls OnData before any other function.
  virtual DataRequest TakeDataRequest() = 0;

  virtual Step OnData(const DataNews& news, Output& out) = 0;

 protected:
  ~DataChannelUser() = default;
};

}  // namespace starling
