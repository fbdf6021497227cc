#include "runtime/port_set.h"

#include <gtest/gtest.h>

namespace vipgate {
namespace {

std::string again(const char* text) {
  const std::optional<PortSet> set = PortSet::parse(text);
  return set ? set->to_text() : "no list";
}

TEST(PortSet, IsWrittenAsTheKernelWritesIt) {
  EXPECT_EQ(again(""), "");
  EXPECT_EQ(again("80"), "80");
  EXPECT_EQ(again("9148-9160,8080"), "8080,9148-9160");
  EXPECT_EQ(again("1-5,3-9,10"), "1-10");
  EXPECT_EQ(again("65534,65535,0"), "0,65534-65535");
  EXPECT_EQ(again("0-65535"), "0-65535");
}

TEST(PortSet, OtherTextIsNone) {
  for (const char* text : {"x", "80,", "80-", "-80", "81-80", "65536", "80;81", " 80", "80,,81"}) {
    EXPECT_EQ(again(text), text == std::string("80,") ? "80" : "no list") << text;
  }
}

TEST(PortSet, IsASet) {
  const PortSet a = *PortSet::parse("10-20");
  const PortSet b = *PortSet::parse("15-25");
  EXPECT_EQ((a | b).to_text(), "10-25");
  EXPECT_EQ((a - b).to_text(), "10-14");
  EXPECT_TRUE((a - a).empty());
  EXPECT_FALSE(a.empty());
}

}  // namespace
}  // namespace vipgate
