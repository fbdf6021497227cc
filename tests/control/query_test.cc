#include "control/query.h"

#include <gtest/gtest.h>

namespace vipgate::control {
namespace {

using Values = std::map<std::string, std::string>;

TEST(Query, NamesAndValuesAreDecoded) {
  EXPECT_EQ(parse_query("/v1/flows"), Values());
  EXPECT_EQ(parse_query("/v1/flows?"), Values());
  EXPECT_EQ(parse_query("/x?a=1&b=x%20y+z&c&d=%C3%a4"),
            (Values{{"a", "1"}, {"b", "x y z"}, {"c", ""}, {"d", "\xc3\xa4"}}));
  EXPECT_EQ(parse_query("/x?a=b=c"), (Values{{"a", "b=c"}}));
}

TEST(Query, WhatIsBrokenIsNotGuessed) {
  for (const char* target : {"/x?a=%", "/x?a=%4", "/x?a=%4g", "/x?%zz=1", "/x?a=1&a=2"}) {
    EXPECT_FALSE(parse_query(target)) << target;
  }
}

TEST(Query, WhatIsEncodedComesBack) {
  std::string all;
  for (int i = 1; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(parse_query("/x?a=" + encode_query(all)), (Values{{"a", all}}));
}

}  // namespace
}  // namespace vipgate::control
