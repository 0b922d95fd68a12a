// A small valid file for the loader's tests. A test can replace each part, and each part
// begins on the same line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/loader.h"

namespace starling {

struct TestFile {
  std::string tls = "tls: {certificates: [{cert: a.crt, key: a.key}]}";  // line 1
  std::string listeners =                                                // line 2
      "listeners: [{name: in, protocol: smtp, bind: \"127.0.0.1:2525\", tls: starttls, backend: "
      "b}]";
  std::string backends = "backends: [{name: b, servers: \"unix:/b\", proxy_protocol: v2}]";  // 3
  std::string rest = "";  // from line 4 on

  std::string Text() const { return tls + "\n" + listeners + "\n" + backends + "\n" + rest + "\n"; }
};

inline LoadResult Load(std::string_view text) {
  return LoadConfig(text, "f", {.hostname = "host.example", .cpus = 3});
}
inline LoadResult Load(const TestFile& file) { return Load(file.Text()); }

// One line for each: "line:column: text".
inline std::string Lines(const std::vector<Problem>& problems) {
  std::string lines;
  for (const Problem& problem : problems) {
    if (!lines.empty()) lines += "\n";
    lines += ToString(problem, "").substr(1);
  }
  return lines;
}

}  // namespace starling
