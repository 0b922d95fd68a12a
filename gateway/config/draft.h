// A configuration half read: the values, and where in the file they stand.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/config/problem.h"
#include "gateway/config/yaml_tree.h"

namespace starling {

// What was read of one map of options. Keys are those of the option table.
struct ReadMarks {
  YamlMark at;
  bool damaged = false;                                // something of it has an error of its own
  std::map<std::string_view, const YamlNode*> values;  // without errors of their own
  std::map<std::string_view, std::vector<ReadMarks>> children;  // sections

  bool Has(std::string_view key) const { return values.contains(key); }
  // Of the value; of the section if there is none.
  YamlMark MarkOf(std::string_view key) const {
    const auto found = values.find(key);
    return found == values.end() ? at : found->second->mark;
  }
  // Of an element, where the value may be a list or a text alone.
  YamlMark MarkOf(std::string_view key, size_t element) const {
    const auto found = values.find(key);
    if (found == values.end()) return at;
    const YamlNode& node = *found->second;
    return element < node.children.size() ? node.children[element]->mark : node.mark;
  }
  // The only section of that key, or null.
  const ReadMarks* Child(std::string_view key) const {
    const auto found = children.find(key);
    return found == children.end() || found->second.empty() ? nullptr : &found->second.front();
  }
  // As many as the file has; parallel to the vector of what they were read into.
  const std::vector<ReadMarks>& List(std::string_view key) const {
    static const std::vector<ReadMarks> none;
    const auto found = children.find(key);
    return found == children.end() ? none : found->second;
  }
};

struct Draft {
  Config config;
  ListenerLimits limits;  // the general ones, with which every listener begins
  ReadMarks marks;
};

}  // namespace starling
