// A YAML document as a tree in which every key and value knows its place.
// The builder reads yaml-cpp's events, because yaml-cpp's own nodes lose the places
// of keys, silently keep the last of two equal keys, and throw on access.
//
// Not for: what the keys mean (loader.h), or anything but UTF-8 text of at most
// kMaxYamlSize octets. The parser rejects tags and several documents. Aliases share
// the node of their anchor and never copy it, so they cannot make a small file large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/problem.h"
#include "gateway/limits.h"

namespace starling {

struct YamlNode {
  enum class Kind : uint8_t { kNull, kText, kList, kMap };
  struct Key {
    std::string text;
    YamlMark mark;
  };

  Kind kind = Kind::kNull;
  YamlMark mark;
  std::string text;                       // kText
  std::vector<Key> keys;                  // kMap: no two alike, parallel to `children`
  std::vector<const YamlNode*> children;  // kMap and kList; owned by the tree
};

class YamlTree {
 public:
  YamlTree();
  YamlTree(YamlTree&&) = default;
  YamlTree& operator=(YamlTree&&) = default;

  // Reports errors to `report`. The root is kNull if the text is empty, is not YAML or
  // exceeds a limit. After smaller errors (a key given twice) the rest of the tree is
  // there, so that the loader can check it too.
  static YamlTree Parse(std::string_view text, Report& report);

  const YamlNode& root() const { return *root_; }

 private:
  friend class YamlBuilder;

  std::deque<YamlNode> nodes_;  // addresses stay
  const YamlNode* root_;
};

// "a list", "a map", "nothing" or the text in quotes. Quote() cuts the text to a line's
// length and escapes control characters. Of PEM it shows only that it is PEM.
std::string Describe(const YamlNode& node);
std::string Quote(std::string_view text);

}  // namespace starling
