#include "protocols/xmpp/xml_tags.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace starling {
namespace {

using Status = XmlTags::Status;

// Records all events as one text: "(space|name a=b)" begins and ")" ends an element;
// "{space}" is a default namespace.
class Listener final : public XmlTags::Handler {
 public:
  void OnSpace(std::string_view space) override { heard += "{" + std::string(space) + "}"; }
  void OnBegin(const XmlTag& tag) override {
    heard += "(" + std::string(tag.space) + "|" + std::string(tag.name);
    for (const char* const* at = tag.attributes; *at != nullptr; at += 2) {
      std::string name = at[0];
      std::replace(name.begin(), name.end(), '\1', '|');
      heard += " " + name + "=" + at[1];
    }
  }
  void OnEnd() override { heard += ")"; }

  std::string heard;
};

struct Outcome {
  std::string heard;
  Status status;
  size_t consumed;

  bool operator==(const Outcome&) const = default;
};

Outcome Read(const std::string& octets, size_t piece = std::string::npos) {
  const auto tags = std::make_unique<XmlTags>();
  tags->Start(1);
  Listener listener;
  size_t begin = 0, given = 0;
  Status status = Status::kNeedMore;
  while (given < octets.size()) {
    given += std::min(piece, octets.size() - given);
    do {
      // A copy of exactly this size, so that a sanitizer notices a read of one octet too
      // many.
      const std::vector<char> in(octets.begin() + static_cast<std::ptrdiff_t>(begin),
                                 octets.begin() + static_cast<std::ptrdiff_t>(given));
      size_t consumed = 0;
      status = tags->Take(AsBytes({in.data(), in.size()}), consumed, listener);
      begin += consumed;
    } while (status == Status::kTag);
    if (status != Status::kNeedMore) break;
  }
  return {listener.heard, status, begin};
}

struct Case {
  std::string name;
  std::string octets;
  std::string heard;
  Status status = Status::kNeedMore;
  size_t left = 0;  // octets not consumed
};

void ReadAll(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    for (const size_t piece : {std::string::npos, size_t{1}, size_t{3}}) {
      SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
      const Outcome outcome = Read(c.octets, piece);
      EXPECT_EQ(outcome.heard, c.heard);
      EXPECT_EQ(outcome.status, c.status);
      if (c.status == Status::kNeedMore) {
        EXPECT_EQ(c.octets.size() - outcome.consumed, c.left);
      }
    }
  }
}

TEST(XmlTags, EachTagByItsEnd) {
  ReadAll({
      {"a begin", "<a>", "(|a"},
      {"all but its end", "<a", "", Status::kNeedMore, 2},
      {"begin and end", "<a></a>", "(|a)"},
      {"an element by itself", "<a/>", "(|a)"},
      {"white space in an end", " \t\r\n<a >\n \t<b / ></b>", "(|a", Status::kMalformed},
      {"white space within", "\n<a\n\tb = 'c'\r\n>\n<d />\n</a\n>", "(|a b=c(|d))"},
      {"either quote", "<a b=\"'\" c='\"'>", "(|a b=' c=\""},
      {"an end in a quote", "<a b='>' c=\"/>\"><d>", "(|a b=> c=/>(|d"},
      {"a declaration", "<?xml version='1.0'?><a>", "(|a"},
      {"one with its encoding", "<?xml version='1.0' encoding='utf-8' standalone=\"no\" ?>\n<a>",
       "(|a"},
      {"the five entities", "<a b='&lt;&gt;&amp;&quot;&apos;&#x41;&#66;'>", "(|a b=<>&\"'AB"},
      {"namespaces", "<s:a xmlns='x' xmlns:s='y' s:b='c'><d/></s:a>", "{x}(y|a y|b=c(x|d))"},
      {"none again", "<a xmlns='x'><b xmlns=''>", "{x}(x|a{}(|b"},
      {"more than one octet a character", "<a b='\xc3\xa4\xe2\x82\xac'>",
       "(|a b=\xc3\xa4\xe2\x82\xac"},
  });
}

TEST(XmlTags, WhatXmppDoesNotAllow) {
  ReadAll({
      {"a DOCTYPE", "<!D", "", Status::kRestricted},
      {"a whole one", "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "",
       Status::kRestricted},
      {"a comment", "<a><!-- <b> -->", "(|a", Status::kRestricted},
      {"CDATA", "<a><![CDATA[x]]>", "(|a", Status::kRestricted},
      {"an instruction", "<?php ?><a>", "", Status::kRestricted},
      {"one that looks like a declaration", "<?xml-stylesheet href='x'?><a>", "",
       Status::kRestricted},
      {"a second declaration", "<?xml version='1.0'?><?xml version='1.0'?>", "",
       Status::kRestricted},
      {"white space before a declaration", " <?xml version='1.0'?>", "", Status::kRestricted},
      {"an entity", "<a b='&c;'>", "", Status::kRestricted},
      {"text", "<a>b", "(|a", Status::kText},
      {"an entity as text", "<a>&lt;", "(|a", Status::kText},
      {"a mark of the order of octets", "\xef\xbb\xbf<a>", "", Status::kText},
      {"another encoding", "<?xml version='1.0' encoding='iso-8859-1'?>", "", Status::kBadEncoding},
      {"a wide one", "<?xml version='1.0' encoding='utf-16'?>", "", Status::kBadEncoding},
  });
}

TEST(XmlTags, MalformedXml) {
  const auto malformed = [](std::string name, std::string octets, std::string heard = "") {
    return Case{std::move(name), std::move(octets), std::move(heard), Status::kMalformed};
  };
  ReadAll({
      malformed("no name", "<>"),
      malformed("a name of digits", "<1>"),
      malformed("NUL", std::string("<a\0", 3)),
      malformed("a control character in a quote", "<a b='\x01"),
      malformed("a tag in a tag", "<a <"),
      malformed("a tag in a quote", "<a b='<'>"),
      malformed("no quotes", "<a b=c>"),
      malformed("an attribute twice", "<a b='' b=''>"),
      malformed("an attribute twice, by its namespace",
                "<a xmlns:x='y' xmlns:z='y' x:b='' z:b=''>"),
      malformed("another end", "<a></b>", "(|a"),
      malformed("an end alone", "</a>"),
      malformed("attributes of an end", "<a></a b='c'>", "(|a"),
      malformed("a prefix that nobody knows", "<a:b>"),
      malformed("a character that XML has not", "<a b='&#1;'>"),
      malformed("half a character", "<a b='\xc3'>"),
      malformed("a character in more octets than it needs", "<a b='\xc0\xaf'>"),
      malformed("a declaration without end", "<?xml version='1.0'><a>"),
      malformed("a declaration without version", "<?xml ?><a>"),
      malformed("a second element", "<a/><b/>", "(|a)"),
      malformed("a name of a namespace with an octet of ours", "<a xmlns='x&#1;y'>"),
  });
}

TEST(XmlTags, LongTags) {
  const auto tag = [](size_t size) { return "<a b='" + std::string(size - 8, 'x') + "'>"; };
  ReadAll({
      {"at the limit", tag(kXmlMaxTag), "(|a b=" + std::string(kXmlMaxTag - 8, 'x')},
      {"over the limit", tag(kXmlMaxTag + 1), "", Status::kTooLong},
      {"without end", "<" + std::string(2 * kXmlMaxTag, 'x'), "", Status::kTooLong},
      {"white space is no tag", std::string(2 * kXmlMaxTag, ' ') + "<a>", "(|a"},
  });
}

// A full arena makes the reader refuse the tag. Nothing is written outside the arena.
TEST(XmlTags, FullMemory) {
  std::string attributes = "<a";
  for (int i = 0; i < 400; ++i) attributes += " b" + std::to_string(i) + "=''";
  ASSERT_LT(attributes.size(), kXmlMaxTag);
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "<a>";
  for (const size_t piece : {std::string::npos, size_t{1}}) {
    EXPECT_EQ(Read(attributes + ">", piece), (Outcome{"", Status::kFull, 0}));
    const Outcome outcome = Read(deep, piece);
    EXPECT_EQ(outcome.status, Status::kFull);
    EXPECT_EQ(outcome.heard.size(), outcome.consumed);
  }
}

TEST(XmlTags, AUsualHeaderTakesHalfOfTheMemory) {
  const auto tags = std::make_unique<XmlTags>();
  tags->Start(1);
  Listener listener;
  size_t consumed = 0;
  const std::string header =
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
      "xmlns:db='jabber:server:dialback' from='one.example' to='two.example' version='1.0' "
      "xml:lang='en'>";
  EXPECT_EQ(tags->Take(AsBytes(header), consumed, listener), Status::kTag);
  EXPECT_LE(tags->memory_used(), kXmlMemory / 2);
  tags->Wipe();
  EXPECT_EQ(tags->memory_used(), 0u);
}

TEST(XmlArena, BlocksDoNotOverlapAndComeBack) {
  const auto arena = std::make_unique<XmlArena>();
  std::vector<uint8_t*> blocks;
  const auto fill = [&](size_t number, size_t size) {
    std::memset(blocks[number], static_cast<int>(number), size);
  };
  for (size_t i = 0; i < 8; ++i) {
    blocks.push_back(static_cast<uint8_t*>(arena->Allocate(100)));
    ASSERT_NE(blocks[i], nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks[i]) % alignof(std::max_align_t), 0u);
    fill(i, 100);
  }
  const size_t used = arena->used();
  // Two free neighbours become one larger block, and its remainder is free again.
  arena->Release(blocks[2]);
  arena->Release(blocks[3]);
  EXPECT_EQ(arena->Allocate(150), blocks[2]);
  fill(2, 150);
  blocks[3] = static_cast<uint8_t*>(arena->Allocate(16));
  fill(3, 16);
  EXPECT_EQ(arena->used(), used);
  // Grows in place if the next block is free. Otherwise the contents move along.
  arena->Release(blocks[5]);
  EXPECT_EQ(arena->Resize(blocks[4], 200), blocks[4]);
  auto* moved = static_cast<uint8_t*>(arena->Resize(blocks[6], 1000));
  ASSERT_NE(moved, blocks[6]);
  EXPECT_EQ(std::vector<uint8_t>(moved, moved + 100), std::vector<uint8_t>(100, 6));
  EXPECT_EQ(arena->Resize(moved, 2000), moved);
  for (const size_t number : {0, 1, 7}) {
    EXPECT_EQ(std::vector<uint8_t>(blocks[number], blocks[number] + 100),
              std::vector<uint8_t>(100, static_cast<uint8_t>(number)));
  }
  // The arena is full, and no larger than its size.
  EXPECT_EQ(arena->Allocate(kXmlMemory), nullptr);
  EXPECT_EQ(arena->Allocate(SIZE_MAX), nullptr);
  EXPECT_EQ(arena->Resize(moved, kXmlMemory), nullptr);
  EXPECT_EQ(arena->Resize(moved, SIZE_MAX - 8), nullptr);
  EXPECT_EQ(std::vector<uint8_t>(moved, moved + 100), std::vector<uint8_t>(100, 6));
  arena->Release(moved);
  arena->Release(nullptr);
  arena->Wipe();
  EXPECT_EQ(arena->used(), 0u);
  EXPECT_NE(arena->Allocate(kXmlMemory - 64), nullptr);
}

// In any order of calls, no block gets another's octets.
TEST(XmlArena, AnyOrder) {
  struct Block {
    uint8_t* octets;
    size_t size;
    uint8_t value;
  };
  const auto arena = std::make_unique<XmlArena>();
  std::vector<Block> blocks;
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    const size_t size = random() % 700 + 1;
    const auto value = static_cast<uint8_t>(round);
    if (blocks.empty() || random() % 5 < 2) {
      if (void* octets = arena->Allocate(size)) {
        blocks.push_back({static_cast<uint8_t*>(octets), size, value});
        std::memset(octets, value, size);
      }
      continue;
    }
    const size_t at = random() % blocks.size();
    Block& block = blocks[at];
    ASSERT_EQ(std::count(block.octets, block.octets + block.size, block.value), block.size)
        << round;
    if (random() % 2 == 0) {
      arena->Release(block.octets);
      blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (void* octets = arena->Resize(block.octets, size)) {
      block = {static_cast<uint8_t*>(octets), size, value};
      std::memset(octets, value, size);
    }
  }
  for (const Block& block : blocks) arena->Release(block.octets);
  EXPECT_NE(arena->Allocate(kXmlMemory - 64), nullptr);
}

}  // namespace
}  // namespace starling
