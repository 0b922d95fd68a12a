// Data channels: connections beside the control connection, which the gateway joins, one of the
// client with one of the backend. FTP alone has them. A negotiator that wants them is a
// DataChannelUser as well, and its protocol's row says how to find that (protocol_row.h).
//
// Not for: the sockets of a channel (gateway/session/data_channel.h).
#pragma once

#include <cstdint>

#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"

namespace starling {

// A session has one channel at a time: a new one takes the place of the old.
enum class DataAsk : uint8_t {
  kNone,
  kFromClient,  // listen for the client; join what comes with `port` of the leg's server
  kFromServer,  // listen for the leg's server; join what comes with `port` of the client
  kDrop,        // reset the channel, wherever it stands; OnData hears no more of it. A channel
                // that is over and not whole must be dropped too: until then the gateway
                // keeps the server's side open
};

struct DataRequest {
  DataAsk ask = DataAsk::kNone;
  uint16_t port = 0;
  uint16_t reply = 0;  // with kDrop: code of the backend's reply that led to it, for the log
};

// How a data channel has ended.
enum class DataOutcome : uint8_t {
  kWhole,      // both sides have ended what they sent, and all of it was passed on
  kCut,        // one side broke off
  kTlsFailed,  // the client's TLS did not come about
  kNotMade,    // one of the connections did not come about
};

// What became of a data channel that was asked for.
struct DataNews {
  const Endpoint* ready_at = nullptr;  // the gateway listens for it there. Null: it is over
  DataOutcome outcome = DataOutcome::kNotMade;
};

class DataChannelUser {
 public:
  // What the call just made has asked for. The gateway takes it after each call of the
  // negotiator, and calls OnData before any other function.
  virtual DataRequest TakeDataRequest() = 0;

  virtual Step OnData(const DataNews& news, Output& out) = 0;

 protected:
  ~DataChannelUser() = default;
};

}  // namespace starling
