// A YAML document as a tree in which every key and value knows its place.
// Built from yaml-cpp's events, because its own nodes lose the marks of keys,
// keep the last of two equal keys without a word and throw on access.
//
// Not for: what the keys mean (loader.h), or anything but UTF-8 text of
// kMaxYamlSize octets at most. Tags and several documents are refused; anchors
// and aliases are shared, never copied, so they cannot make a small file large.
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

  // `report` has what is wrong. The root is kNull where the text is empty, is no
  // YAML or breaks a limit; after smaller errors (a key given twice) the rest of
  // the tree is there to be checked too.
  static YamlTree Parse(std::string_view text, Report& report);

  const YamlNode& root() const { return *root_; }

 private:
  friend class YamlBuilder;

  std::deque<YamlNode> nodes_;  // addresses stay
  const YamlNode* root_;
};

// "a list", "a map", "nothing" or the text in quotes, cut to a line's length
// and with control characters escaped; of a PEM file's content only that it is one.
std::string Describe(const YamlNode& node);
std::string Quote(std::string_view text);

}  // namespace starling
