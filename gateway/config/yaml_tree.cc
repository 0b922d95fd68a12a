#include "gateway/config/yaml_tree.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <new>
#include <optional>
#include <sstream>
#include <utility>

#include "gateway/text/characters.h"

namespace starling {
namespace {

YamlMark MarkOf(const YAML::Mark& mark) {
  return mark.is_null() ? YamlMark{} : YamlMark{mark.line + 1, mark.column + 1};
}

// yaml-cpp guesses encodings and takes octet 4 for the end of the file, so the gateway
// gives it only clean UTF-8.
bool CheckCharacters(std::string_view text, Report& report) {
  YamlMark mark;
  while (!text.empty()) {
    const std::optional<Character> character = NextCharacter(text);
    const auto octet = static_cast<uint8_t>(text[0]);
    const bool space = octet == '\t' || octet == '\n' || octet == '\r';
    if (!character || (IsControl(text[0]) && !space)) {
      char shown[32];
      std::snprintf(shown, sizeof(shown), "the octet 0x%02x", octet);
      report.Error(mark,
                   std::string(shown) +
                       " is not allowed; the file must be UTF-8 text without control characters");
      return false;
    }
    mark.column += static_cast<int>(character->length);
    if (octet == '\n') mark = {mark.line + 1, 1};
    text.remove_prefix(character->length);
  }
  return true;
}

}  // namespace

class YamlBuilder : public YAML::EventHandler {
 public:
  YamlBuilder(YamlTree& tree, Report& report) : tree_(tree), report_(report) {}

  // The file has exceeded a limit, and the tree is incomplete.
  bool stopped() const { return stopped_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Leaf(YamlNode::Kind::kNull, mark, anchor, {});
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckTag(mark, tag);
    Leaf(YamlNode::Kind::kText, mark, anchor, value);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (stopped_) return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Stop(mark, "the alias refers to the list or map that contains it");
      return;
    }
    Attach(*found->second, MarkOf(mark));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { End(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Begin(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { End(); }

 private:
  struct Open {
    YamlNode* node = nullptr;
    YAML::anchor_t anchor = YAML::NullAnchor;
    bool have_key = false;    // the next event is a value
    YamlMark key_mark;        // of that key
    bool drop_value = false;  // its key was rejected
    std::map<std::string, YamlMark> seen;
  };

  // yaml-cpp gives "?" to plain text and "!" to quoted text.
  void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (stopped_ || tag.empty() || tag == "?" || tag == "!") return;
    report_.Error(MarkOf(mark), "the tag " + Quote(tag) + " is not allowed; remove it");
  }

  void Stop(const YAML::Mark& mark, std::string text) {
    report_.Error(MarkOf(mark), std::move(text));
    stopped_ = true;
  }

  YamlNode* Make(YamlNode::Kind kind, const YAML::Mark& mark) {
    if (stopped_) return nullptr;
    if (tree_.nodes_.size() >= kMaxYamlNodes) {
      Stop(mark, "the file has more than " + std::to_string(kMaxYamlNodes) + " values");
      return nullptr;
    }
    YamlNode& node = tree_.nodes_.emplace_back();
    node.kind = kind;
    node.mark = MarkOf(mark);
    return &node;
  }

  void Leaf(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor,
            const std::string& text) {
    YamlNode* node = Make(kind, mark);
    if (node == nullptr) return;
    node->text = text;
    // The library gives a missing value the place of whatever follows it.
    const bool value = !open_.empty() && open_.back().have_key;
    if (kind == YamlNode::Kind::kNull && value) node->mark = open_.back().key_mark;
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    Attach(*node, node->mark);
  }

  void Begin(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
             YAML::anchor_t anchor) {
    CheckTag(mark, tag);
    if (!stopped_ && open_.size() >= kMaxYamlDepth) {
      Stop(mark, "the file has more than " + std::to_string(kMaxYamlDepth) + " levels of nesting");
    }
    YamlNode* node = Make(kind, mark);
    if (node == nullptr) return;
    Attach(*node, node->mark);
    Open& top = open_.emplace_back();
    top.node = node;
    top.anchor = anchor;
  }

  void End() {
    if (stopped_) return;
    const Open& top = open_.back();
    if (top.anchor != YAML::NullAnchor) anchors_[top.anchor] = top.node;
    open_.pop_back();
  }

  void Attach(const YamlNode& node, YamlMark mark) {
    if (open_.empty()) {
      tree_.root_ = &node;
      return;
    }
    Open& top = open_.back();
    if (top.node->kind == YamlNode::Kind::kList) {
      top.node->children.push_back(&node);
    } else if (top.have_key) {
      top.have_key = false;
      if (!top.drop_value) top.node->children.push_back(&node);
    } else {
      top.have_key = true;
      top.key_mark = mark;
      top.drop_value = !TakeKey(top, node, mark);
    }
  }

  bool TakeKey(Open& top, const YamlNode& node, YamlMark mark) {
    if (node.kind != YamlNode::Kind::kText) {
      report_.Error(mark, Describe(node) + " as a key", "a name");
      return false;
    }
    const auto [earlier, first] = top.seen.emplace(node.text, mark);
    if (!first) {
      report_.Error(mark, Quote(node.text) + " is already given on line " +
                              std::to_string(earlier->second.line) + "; remove one");
      return false;
    }
    top.node->keys.push_back({node.text, mark});
    return true;
  }

  YamlTree& tree_;
  Report& report_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, const YamlNode*> anchors_;  // complete ones only
  bool stopped_ = false;
};

YamlTree::YamlTree() { root_ = &nodes_.emplace_back(); }

YamlTree YamlTree::Parse(std::string_view text, Report& report) {
  YamlTree tree;
  if (text.size() > kMaxYamlSize) {
    report.Error({}, "the file has " + std::to_string(text.size()) + " octets; at most " +
                         std::to_string(kMaxYamlSize) + " are allowed");
    return tree;
  }
  if (!CheckCharacters(text, report)) return tree;
  YamlBuilder builder(tree, report);
  // The library reports bad syntax by exceptions, which must not leave this function.
  try {
    // The library loses its place in a file that does not end in a line end.
    std::istringstream stream(std::string(text) + "\n");
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    if (parser) report.Error({}, "the file has several YAML documents; only one is allowed");
    if (!builder.stopped()) return tree;
  } catch (const YAML::Exception& error) {
    report.Error(MarkOf(error.mark), "invalid YAML: " + error.msg);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    report.Error({}, std::string("invalid YAML: ") + error.what());
  }
  return YamlTree();
}

std::string Quote(std::string_view text) {
  // An administrator may have put a key where a file's name belongs, or named the key's
  // file instead of the configuration. The error then shows no octet of the key.
  constexpr std::string_view kSecret = "-----BEGIN";
  constexpr size_t kShown = 60;
  const size_t secret = text.find(kSecret);
  const size_t shown = secret < kShown ? secret + kSecret.size() : kShown;
  std::string quoted = "\"";
  for (const char c : text.substr(0, shown)) {
    if (IsControl(c)) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", static_cast<uint8_t>(c));
      quoted += escaped;
    } else {
      quoted += c;
    }
  }
  return quoted + (text.size() > shown ? "...\"" : "\"");
}

std::string Describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kText:
      return Quote(node.text);
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

}  // namespace starling
