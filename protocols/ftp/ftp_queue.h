// Which command of FTP's control connection a reply answers. RFC 959 section 5.4 allows one
// command at a time, but clients send some during a transfer (NOOP, STAT, ABOR). Servers
// answer those at different times: at once (pyftpdlib, ProFTPD during an upload), after the
// transfer (vsftpd, ProFTPD during a download), with an error although they go on
// (pure-ftpd answers NOOP by 500), or never.
//
// So commands stand here in order, with the gateway's own replies among them, and the code
// of a reply tells which of them it may belong to. If only a later command can have such a
// reply, the server will never answer those before it. If the reply may belong to a
// doubtful command or to the next one, the queue gives it to the doubtful one, and the next
// becomes doubtful in turn. So nothing waits for a reply that may have come already, and no
// later reply counts as unasked.
//
// Not for: what a reply leads to (ftp_control.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocols/frames/ring_queue.h"
#include "protocols/ftp/limits.h"

namespace starling {

class FtpQueue {
 public:
  // What is due at a place: the reply to a command, or one of the gateway's own.
  enum class Due : uint8_t {
    kAny,
    kNoop,
    kAbor,
    kRetrieve,
    kStore,
    kAborted,  // of a transfer that the client has given up; the reply may never come
    kPasv,
    kEpsv,
    kPort,
    kFeat,
    kQuit,
    kOwn,
  };

  bool empty() const { return places_.empty(); }
  bool HasRoom(Due due) const;
  Due head() const { return places_.head().due; }
  bool TransferIsHead() const { return !empty() && IsTransfer(head()); }
  // Whether a transfer's final reply is certainly due.
  bool transfer() const { return transfer_; }
  // Whether it has begun: 125 or 150 has come.
  bool begun() const { return begun_; }
  void Begin();

  void Push(Due due);
  void PushOwn(uint8_t reply);
  // The head has had its reply ...
  void Pop();
  // ... or will never have one, like its equals in a row.
  void Skip();
  // Takes one of the gateway's own replies, if it is at the head.
  std::optional<uint8_t> TakeOwnAtHead();
  // Takes one from a queue that otherwise has only doubtful commands: the client has gone
  // on without their replies.
  std::optional<uint8_t> TakeOwnBehindDoubtful();
  bool OnlyDoubtful() const;
  // Makes room: if all commands are doubtful, they become one row of no kind.
  void MergeDoubtful();
  bool HeadIsDoubtful() const { return places_.head().doubtful; }
  // The transfer is over for the client, whatever reply is still due. A doubtful transfer
  // is over, too, when the client begins the next.
  void GiveUpTransfer();

  // Puts at the head the command that a reply of this code belongs to, if the transfer at
  // the head is answered later. Otherwise returns how many places must be skipped to bring
  // it there.
  uint8_t Align(int code);
  // If the head is doubtful, its final reply, with this code, may belong to a later
  // command. That command may then have no other reply, and is doubtful from now on.
  // Returns what is due for it.
  std::optional<Due> Doubt(int code);

 private:
  struct Place {
    Due due = Due::kAny;
    uint8_t own = 0;     // which reply, with kOwn
    uint16_t count = 1;  // of equal commands in a row
    bool amid = false;   // it came during a transfer
    // The server may never answer it, or has done so already: the transfer during which it
    // came is over, or it was this command's reply that an earlier command got.
    bool doubtful = false;
  };
  uint8_t size() const { return static_cast<uint8_t>(places_.size()); }
  static bool IsTransfer(Due due) { return due == Due::kRetrieve || due == Due::kStore; }

  void Push(const Place& place);
  void Remove(size_t i);
  // Gives the first command of a row a place of its own.
  void Split(size_t i);
  // Whether the command equals the last one, and both came during the transfer.
  bool JoinsRow(Due due) const;
  void EndTransfer();
  uint8_t Find(bool (*wanted)(Due due), uint8_t from) const;
  uint8_t PlaceOf(int code) const;

  uint8_t own_ = 0;
  bool transfer_ = false;
  bool begun_ = false;
  // One place more, since a row may be split when all are taken.
  RingQueue<Place, kFtpMaxOutstanding + 1> places_;
};

}  // namespace starling
