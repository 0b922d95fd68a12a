// The server's line of which the client has a part. Before the gateway says words of its
// own, it ends that line. Otherwise they would become part of it.
#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "protocols/frames/dialogue.h"

namespace starling {

class OpenLine {
 public:
  bool open() const { return open_; }

  // Gives the client a piece of the line; `last` if the line ends with it.
  void Give(std::initializer_list<std::string_view> parts, bool last, Writer& client) {
    Say(client, parts);
    if (last) Say(client, {"\r\n"});
    open_ = !last;
  }
  // The line goes on in a way that this class does not see.
  void NoteOpen() { open_ = true; }
  // Call this before words of the gateway's own.
  void End(Writer& client) {
    if (std::exchange(open_, false)) Say(client, {"\r\n"});
  }

 private:
  bool open_ = false;
};

}  // namespace starling
