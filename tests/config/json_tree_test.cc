#include "config/json_tree.h"

#include <functional>

#include "fault_cases.h"

namespace vipgate::config {
namespace {

JsonValue parse(std::string_view text) {
  Errors errors(text);
  JsonValue root;
  EXPECT_TRUE(parse_json(text, root, errors)) << text;
  EXPECT_TRUE(errors.empty());
  return root;
}

TEST(JsonTree, EveryValueAndKeyKnowsItsPlace) {
  const std::string text =
      "\xEF\xBB\xBF // head\n"
      "{ \"a\" : 12, /* , : */ \"b\\u0041\": [ -3 , 1.5,true , null,\"x\\\"y\" , {} ],\n"
      " // \"c\": 1,\n"
      " \"d\":{\"e\":false\r\n} } // tail";
  const JsonValue root = parse(text);
  const auto at = [&](std::size_t offset, std::string_view start) {
    EXPECT_EQ(std::string_view(text).substr(offset, start.size()), start) << offset;
  };
  at(root.offset, "{ \"a\"");
  ASSERT_EQ(root.members.size(), 3U);
  at(root.members[0].key_offset, "\"a\"");
  at(root.members[0].value.offset, "12,");
  at(root.members[1].key_offset, "\"b\\u0041\"");
  EXPECT_EQ(root.members[1].key, "bA");
  const JsonValue& list = root.members[1].value;
  at(list.offset, "[ -3");
  ASSERT_EQ(list.items.size(), 6U);
  at(list.items[0].offset, "-3");
  at(list.items[1].offset, "1.5");
  at(list.items[2].offset, "true");
  at(list.items[3].offset, "null");
  at(list.items[4].offset, "\"x\\\"y\"");
  EXPECT_EQ(list.items[4].text, "x\"y");
  at(list.items[5].offset, "{} ]");
  at(root.members[2].key_offset, "\"d\"");
  at(root.members[2].value.offset, "{\"e\"");
  at(root.members[2].value.members.at(0).value.offset, "false");
}

TEST(JsonTree, KindsAndNumbers) {
  const JsonValue root = parse("[0,-7,18446744073709551615,-99999999999999999999,1e2,0.5,true,null,\"\",[],{}]");
  using enum JsonKind;
  const std::vector<JsonKind> kinds{integer, integer, integer, integer, fraction, fraction,
                                    boolean, null,    string,  array,   object};
  ASSERT_EQ(root.items.size(), kinds.size());
  for (std::size_t i = 0; i < kinds.size(); ++i) EXPECT_EQ(root.items[i].kind, kinds[i]) << i;
  EXPECT_EQ(root.items[0].integer, 0);
  EXPECT_EQ(root.items[1].integer, -7);
  EXPECT_EQ(root.items[2].integer, INT64_MAX);
  EXPECT_EQ(root.items[3].integer, INT64_MIN);
  EXPECT_EQ(root.items[3].text, "-99999999999999999999");
  EXPECT_EQ(root.items[4].text, "1e2");
}

TEST(JsonTree, KeepsDuplicateKeys) {
  const JsonValue root = parse(R"({"a": 1, "a": 2})");
  ASSERT_EQ(root.members.size(), 2U);
  EXPECT_EQ(root.members[1].value.integer, 2);
}

TEST(JsonTree, DepthIsBounded) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  parse(nested(kMaxJsonDepth));
  expect_fault({"one too deep", std::string(kMaxJsonDepth, '[') + "@[", "nested more than 64 deep"});
  expect_fault(
      {"far too deep", std::string(kMaxJsonDepth, '[') + "@" + std::string(1000000, '['), "nested more than 64 deep"});
}

TEST(JsonTree, SyntaxErrors) {
  const std::vector<FaultCase> cases{
      {"empty", "@", "empty"},
      {"blank", " \n @", "the file ends too early: '{'"},
      {"comment only", "// x @", "the file ends too early"},
      {"zero byte", std::string("{}\n@\0{", 6), "zero byte"},
      {"half a byte order mark", "@\xEF\xBB{}", "unexpected byte 239"},
      {"no object", "@5", "must be an object { }, not 5"},
      {"a list", "@[]", "must be an object { }, not a list"},
      {"open object", "#{\"a\": 1@", "',' or '}' is missing"},
      {"open list", "{\"a\":\n#[1@", "',' or ']' is missing"},
      {"ends behind comma", "#{\"a\": 1,@", "a key in quotes is missing"},
      {"ends behind colon", "{\"a\": @", "a value is missing"},
      {"ends behind key", "{\"a\"@", "':' after the key is missing"},
      {"no colon", "{\"a\" @1}", "unexpected \"1\", expected ':'"},
      {"two colons", "{\"a\":@:1}", "unexpected ':', expected a value"},
      {"no comma", "{\"a\": 1\n @\"b\": 2}", "unexpected string, expected ',' or '}'"},
      {"no comma in a list", "[1 @2]", "unexpected \"2\", expected ',' or ']'"},
      {"two commas", "{\"a\": 1,@,}", "unexpected ',', expected a key"},
      {"comma before }", "{\"a\": 1, // x\n @}", "remove the comma before it"},
      {"comma before ]", "[1,@]", "remove the comma before it"},
      {"wrong bracket", "{\"a\": [1@}", "unexpected '}', expected ',' or ']'"},
      {"key without quotes", "{@tun: 1}", "unexpected \"tun\", expected a key in quotes"},
      {"single quotes", "{@'a': 1}", "unexpected ''', expected a key in quotes"},
      {"number as key", "{@1: 1}", "unexpected \"1\", expected a key"},
      {"word", "{\"a\": @True}", "unexpected \"True\", expected a value"},
      {"cut word", "{\"a\": @tru}", "unexpected \"tru\""},
      {"text behind", "{} @x", "expected the end of the file"},
      {"second object", "{}\n@{}", "expected the end of the file"},
      {"leading zero", "{\"a\": 0@1}", "unexpected \"1\""},
      {"bad fraction", "{\"a\": 1.@x}", "bad number"},
      {"lone minus", "{\"a\": -@}", "bad number"},
      {"huge number", "{\"a\": @1e999}", "too large"},
      {"open string", "{\"a\": @\"b", "the string is not closed"},
      {"string over two lines", "{\"a\": @\"b\n\"}", "the string is not closed"},
      {"open key", "{@\"a", "the string is not closed"},
      {"tab in a string", "{\"a\": \"b@\tc\"}", "control character"},
      {"bad escape", "{\"a\": \"b\\@q\"}", "bad escape"},
      {"lone surrogate", "{\"a\": \"\\uDC0@0\"}", "bad escape"},
      {"bad UTF-8", "{\"a\": \"\xC3@(\"}", "not valid UTF-8"},
      {"bad UTF-8 start", "{\"a\": \"@\xFF\"}", "not valid UTF-8"},
      {"byte outside a string", "{@\x01", "unexpected byte 1"},
      {"open comment", "{} @/* x *", "the comment is not closed"},
      {"half a comment", "{\"a\": @/ 1}", "comments are // or /* */"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

}  // namespace
}  // namespace vipgate::config
