// Which command of FTP's control connection a reply answers. RFC 959 section 5.4 has one
// command at a time, but clients send some amid a transfer (NOOP, STAT, ABOR), and servers
// answer those as they like: at once (pyftpdlib, ProFTPD amid an upload), when the transfer is
// over (vsftpd, ProFTPD amid a download), with an error though they go on (pure-ftpd answers
// NOOP by 500), or never.
//
// So commands stand here in order, with the gateway's own replies among them, and the code of
// a reply says which of them it may belong to. Where only a later command can have such a
// reply, those before it will never be answered. Where it may belong to a doubtful command and
// to the next one, it is given to the first, and the next becomes doubtful in its turn: nothing
// waits for a reply that may have come already, and none that is still to come is unasked.
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
    kAborted,  // of a transfer: the client has done with it, and it may never come
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
  // A transfer's final reply is due for certain.
  bool transfer() const { return transfer_; }
  // It has begun: 125 or 150 has come.
  bool begun() const { return begun_; }
  void Begin();

  void Push(Due due);
  void PushOwn(uint8_t reply);
  // The head has had its reply ...
  void Pop();
  // ... or will have none, and neither will its equals in a row.
  void Skip();
  // One of the gateway's own at the head, which is thereby taken.
  std::optional<uint8_t> TakeOwnAtHead();
  // One that stands in a queue of nothing but doubtful commands: the client has gone on without.
  std::optional<uint8_t> TakeOwnBehindDoubtful();
  bool OnlyDoubtful() const;
  // Makes room: where all commands are doubtful, they become one row of no kind.
  void MergeDoubtful();
  bool HeadIsDoubtful() const { return places_.head().doubtful; }
  // The transfer is over for the client, whatever is said of it yet. So is a doubtful one when
  // the client begins the next.
  void GiveUpTransfer();

  // Puts at the head the command that a reply of this code belongs to, if the transfer at the
  // head is answered later. Else: how many must be skipped for it to be there.
  uint8_t Align(int code);
  // The final reply at the head, of this code, may belong to a later command if the head is
  // doubtful. Then that one may have no other reply, and is doubtful from now on: which it is.
  std::optional<Due> Doubt(int code);

 private:
  struct Place {
    Due due = Due::kAny;
    uint8_t own = 0;     // which, with kOwn
    uint16_t count = 1;  // of equal commands in a row
    bool amid = false;   // it came amid a transfer
    // The server may never answer it, or has done so already: the transfer that it came amid
    // is over, or the reply that was given to a command before it was its own.
    bool doubtful = false;
  };
  uint8_t size() const { return static_cast<uint8_t>(places_.size()); }
  static bool IsTransfer(Due due) { return due == Due::kRetrieve || due == Due::kStore; }

  void Push(const Place& place);
  void Remove(size_t i);
  // Gives the first of a row a place of its own.
  void Split(size_t i);
  // It is equal to the last command, and both came amid the transfer.
  bool JoinsRow(Due due) const;
  void EndTransfer();
  uint8_t Find(bool (*wanted)(Due due), uint8_t from) const;
  uint8_t PlaceOf(int code) const;

  uint8_t own_ = 0;
  bool transfer_ = false;
  bool begun_ = false;
  // One more, since a row may be split when all are taken.
  RingQueue<Place, kFtpMaxOutstanding + 1> places_;
};

}  // namespace starling
