#include "gateway/session/skip_space.h"

#include <algorithm>
#include <string_view>

namespace starling {

bool SkipSpace(WorkerContext& ctx, Side& client, uint8_t& left) {
  if (left == 0) return false;
  const ByteView in = client.Input(ctx);
  const size_t most = std::min<size_t>(in.size(), left);
  const std::string_view may_be_space = AsText(in.first(most));
  const size_t count = std::min(may_be_space.find_first_not_of(" \t\r\n"), most);
  left -= static_cast<uint8_t>(count);
  client.Consume(ctx, count);
  return count > 0;
}

}  // namespace starling
