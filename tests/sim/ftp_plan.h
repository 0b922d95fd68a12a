// The plan of one FTP client's session in a simulated run, and its outcome: the run
// (ftp_simulation_test.cc) draws it, a client and a server play it, and the run judges it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/io/socket_address.h"
#include "protocols/contract/endpoint.h"

namespace starling::sim {

// X(enumerator): what happens to a transfer.
#define STARLING_SIM_FTP_DEEDS(X)                                              \
  X(kWhole)                                                                    \
  X(kRefused)          /* the server has no such file */                       \
  X(kAborted)          /* the client gives ABOR in the middle */               \
  X(kClientResets)     /* its data connection, in the middle */                \
  X(kClientTruncates)  /* an upload ends without close_notify */               \
  X(kClientWithoutTls) /* the client speaks plaintext on its data connection*/ \
  X(kServerResets)     /* its data connection, in the middle */                \
  X(kClientVanishes)   /* resets all that it has, in the middle */

enum class FtpDeed : uint8_t {
#define X(name) name,
  STARLING_SIM_FTP_DEEDS(X) kCount
#undef X
};
inline constexpr const char* kFtpDeedNames[] = {
#define X(name) #name,
    STARLING_SIM_FTP_DEEDS(X)
#undef X
};

// Which command sets up the data connection.
enum class FtpSetup : uint8_t { kPasv, kEpsv, kPort, kEprt, kCount };

struct FtpTransfer {
  uint32_t id = 0;  // of its stream
  bool upload = false;
  FtpSetup setup = FtpSetup::kPasv;
  FtpDeed deed = FtpDeed::kWhole;
  uint64_t octets = 0;
  bool sets_up_twice = false;  // the first data channel is never used
  bool stranger = false;       // somebody else connects before the client
  bool early = false;          // the client does not wait for 150 before it uses the connection

  // --- what happened ---
  uint64_t sent = 0;  // by the side that has the file
  uint64_t got = 0;
  bool sent_end = false;  // the sender has ended it in an orderly way
  bool got_end = false;   // the receiver has seen an orderly end
  int reply = 0;          // the last that the client got to its command

  bool passive() const { return setup == FtpSetup::kPasv || setup == FtpSetup::kEpsv; }
  // How much of the stream comes before the deed.
  uint64_t until() const { return deed == FtpDeed::kWhole ? octets : octets / 2; }
  bool arrived() const { return got_end && sent_end && got == sent; }
};

struct FtpPlan {
  uint32_t id = 0;
  SocketAddress address;  // of the gateway
  bool implicit = false;
  Endpoint endpoint;  // of the client; its data connections have the same host
  std::vector<FtpTransfer> transfers;
  uint32_t start_us = 0;

  // --- what happened ---
  bool connected = false;
  bool done = false;
  bool broken = false;    // the simulated network broke one of the connections
  bool vanished = false;  // by its plan
  bool said_goodbye = false;

  std::string Name(const FtpTransfer& transfer) const {
    return "client " + std::to_string(id) + ", transfer " + std::to_string(transfer.id) +
           (transfer.upload ? " (upload, " : " (download, ") +
           kFtpDeedNames[static_cast<size_t>(transfer.deed)] + ")";
  }
};

}  // namespace starling::sim
