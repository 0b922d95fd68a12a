// A configuration while the loader reads it: the values, and their places in the file.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/config/problem.h"
#include "gateway/config/yaml_tree.h"

namespace starling {

// What the reader has read of one map of options. The keys are those of the option table.
struct ReadMarks {
  YamlMark at;
  bool damaged = false;                                         // some part has an error of its own
  std::map<std::string_view, const YamlNode*> values;           // only those without an error
  std::map<std::string_view, std::vector<ReadMarks>> children;  // sections

  bool Has(std::string_view key) const { return values.contains(key); }
  // The place of the value, or of the section if the value is missing.
  YamlMark MarkOf(std::string_view key) const {
    const auto found = values.find(key);
    return found == values.end() ? at : found->second->mark;
  }
  // The place of an element. The value may be a list or a single text.
  YamlMark MarkOf(std::string_view key, size_t element) const {
    const auto found = values.find(key);
    if (found == values.end()) return at;
    const YamlNode& node = *found->second;
    return element < node.children.size() ? node.children[element]->mark : node.mark;
  }
  // The section under that key, or null.
  const ReadMarks* Child(std::string_view key) const {
    const auto found = children.find(key);
    return found == children.end() || found->second.empty() ? nullptr : &found->second.front();
  }
  // One for each element in the file, parallel to the vector that has their values.
  const std::vector<ReadMarks>& List(std::string_view key) const {
    static const std::vector<ReadMarks> none;
    const auto found = children.find(key);
    return found == children.end() ? none : found->second;
  }
};

struct Draft {
  Config config;
  ListenerLimits limits;  // the general ones; every listener begins with them
  ReadMarks marks;
};

}  // namespace starling
