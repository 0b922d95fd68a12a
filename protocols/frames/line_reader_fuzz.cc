// Lines in pieces must give the same lines, and the same error, as at once.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "protocols/frames/line_reader.h"

namespace {

using starling::ByteView;
using starling::LineReader;

constexpr size_t kMax = 40;

struct Result {
  std::vector<std::string> lines;
  LineReader::Status end = LineReader::Status::kNeedMore;
  bool operator==(const Result&) const = default;
};

Result Read(ByteView in, bool accept_bare_lf, size_t piece) {
  LineReader reader(kMax, accept_bare_lf);
  Result result;
  size_t begin = 0;
  for (size_t arrived = std::min(piece, in.size()); begin < in.size();) {
    LineReader::Line line = reader.Next(in.subspan(begin, arrived - begin));
    if (line.status == LineReader::Status::kLine) {
      if (line.consumed == 0 || line.consumed > arrived - begin) std::abort();
      if (line.consumed > kMax || line.text.size() >= line.consumed) std::abort();
      result.lines.emplace_back(line.text);
      begin += line.consumed;
      continue;
    }
    if (line.status != LineReader::Status::kNeedMore) {
      result.end = line.status;
      break;
    }
    if (arrived == in.size()) break;
    arrived = std::min(arrived + piece, in.size());
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView in(data, size);
  for (bool accept_bare_lf : {false, true}) {
    Result whole = Read(in, accept_bare_lf, size);
    for (size_t piece : {1, 2, 7}) {
      if (Read(in, accept_bare_lf, piece) != whole) std::abort();
    }
  }
  return 0;
}
