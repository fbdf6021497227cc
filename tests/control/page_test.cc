#include "control/page.h"

#include <cstddef>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vipgate/verdict.h"

namespace vipgate::control {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PageTest, IsWhole) {
  const std::string text(page());
  EXPECT_THAT(text, testing::StartsWith("<!doctype html>"));
  EXPECT_THAT(text, testing::EndsWith("</html>\n"));
  for (const char* mark : {"@STYLE@", "@SCRIPT@", "@REASONS@"}) EXPECT_THAT(text, Not(HasSubstr(mark)));
}

TEST(PageTest, KnowsWhatEachReasonMeans) {
  const std::string text(page());
  for (std::size_t i = 1; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    EXPECT_THAT(text, HasSubstr("\"" + std::string(name_of(reason)) + "\":\"" + std::string(describe(reason)) + "\""));
  }
}

TEST(PageTest, NamesNoOtherPlace) {
  std::string text(page());
  const std::string name_space = "http://www.w3.org/2000/svg";  // a name, which nobody fetches
  for (std::size_t i; (i = text.find(name_space)) != std::string::npos;) text.erase(i, name_space.size());
  EXPECT_THAT(text, Not(HasSubstr("://")));
}

}  // namespace
}  // namespace vipgate::control
