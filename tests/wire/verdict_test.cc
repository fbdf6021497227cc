#include "vipgate/verdict.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace vipgate::test {
namespace {

TEST(Verdict, every_reason_has_a_name_and_words_of_its_own) {
  std::set<std::string_view> names;
  std::set<std::string_view> words;
  for (std::size_t i = 0; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    const std::string_view name = name_of(reason);
    EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](char c) {
      return c == '_' || ('a' <= c && c <= 'z') || c == '4';
    })) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_TRUE(words.insert(describe(reason)).second) << name;
    EXPECT_NE(describe(reason), "?");
  }
  EXPECT_EQ(name_of(Reason::tcp_window), "tcp_window");
  EXPECT_EQ(name_of(Reason::none), "none");
}

TEST(Verdict, there_are_no_more_reasons_than_counted) {
  EXPECT_EQ(name_of(static_cast<Reason>(kReasonCount)), "?");
  EXPECT_EQ(describe(static_cast<Reason>(kReasonCount)), "?");
}

TEST(Verdict, actions_have_the_names_of_the_format) {
  EXPECT_EQ(name_of(Action::forward), "forward");
  EXPECT_EQ(name_of(Action::reply), "reply");
  EXPECT_EQ(name_of(Action::hold), "hold");
  EXPECT_EQ(name_of(Action::hand_off), "hand_off");
  EXPECT_EQ(name_of(Action::pass), "pass");
  EXPECT_EQ(name_of(Action::drop), "drop");
  EXPECT_EQ(static_cast<std::size_t>(Action::drop) + 1, kActionCount);
  EXPECT_EQ(name_of(static_cast<Action>(kActionCount)), "?");
}

TEST(Verdict, is_a_drop_of_no_service_unless_said_otherwise) {
  const Verdict verdict;
  EXPECT_EQ(verdict.action, Action::drop);
  EXPECT_EQ(verdict.service, Verdict::kNoService);
}

}  // namespace
}  // namespace vipgate::test
