#include "runtime/capture/capture_filter.h"

#include <gtest/gtest.h>

#include "support/packet_builder.h"

namespace vipgate {
namespace {

using test::endpoint;

CaptureFilter::Subject forwarded() {
  return {.came = PacketEndpoints{endpoint("198.51.100.7:40000"), endpoint("203.0.113.10:80")},
          .left = PacketEndpoints{endpoint("203.0.113.14:1024"), endpoint("10.0.0.2:8080")},
          .verdict = {.action = Action::forward},
          .service = "web",
          .backend = "10.0.0.2:8080"};
}

TEST(CaptureFilter, EmptyMatchesAll) {
  EXPECT_TRUE(CaptureFilter().matches({}));
  EXPECT_TRUE(CaptureFilter().may_match({}));
  EXPECT_FALSE(CaptureFilter().wants_ends());
  EXPECT_EQ(CaptureFilter().to_string(), "");
}

TEST(CaptureFilter, EndsMatchOnEitherSide) {
  for (const char* address : {"198.51.100.0/24", "203.0.113.10", "203.0.113.14", "10.0.0.0/8"}) {
    EXPECT_TRUE(CaptureFilter{.address = Ipv4Prefix::parse(address)}.matches(forwarded())) << address;
  }
  EXPECT_FALSE(CaptureFilter{.address = Ipv4Prefix::parse("10.0.1.0/24")}.matches(forwarded()));
  for (const int port : {40000, 80, 1024, 8080}) {
    EXPECT_TRUE(CaptureFilter{.port = static_cast<std::uint16_t>(port)}.matches(forwarded())) << port;
  }
  EXPECT_FALSE(CaptureFilter{.port = 8081}.matches(forwarded()));
  EXPECT_FALSE(CaptureFilter{.port = 0}.matches({})) << "it has no ends";
}

TEST(CaptureFilter, ByWhatBecameOfIt) {
  CaptureFilter::Subject dropped = forwarded();
  dropped.verdict = {.action = Action::drop, .reason = Reason::tcp_window};
  EXPECT_TRUE(CaptureFilter{.verdict = Action::drop}.matches(dropped));
  EXPECT_FALSE(CaptureFilter{.verdict = Action::drop}.matches(forwarded()));
  EXPECT_TRUE(CaptureFilter{.reason = Reason::tcp_window}.matches(dropped));
  EXPECT_FALSE(CaptureFilter{.reason = Reason::tcp_state}.matches(dropped));
  EXPECT_TRUE((CaptureFilter{.service = "web", .backend = "10.0.0.2:8080"}).matches(forwarded()));
  EXPECT_FALSE((CaptureFilter{.service = "web", .backend = "b"}).matches(forwarded()));
  EXPECT_FALSE(CaptureFilter{.service = "we"}.matches(forwarded()));
}

TEST(CaptureFilter, OtherProtocolsNeedNoCopy) {
  const CaptureFilter filter{.protocol = Protocol::udp};
  EXPECT_TRUE(filter.may_match(test::udp("198.51.100.7:1", "203.0.113.10:53").build().bytes()));
  EXPECT_FALSE(filter.may_match(test::tcp("198.51.100.7:1", "203.0.113.10:53").build().bytes()));
  EXPECT_FALSE(filter.may_match({}));
}

TEST(CaptureFilter, Names) {
  for (std::size_t i = 0; i < kActionCount; ++i) {
    EXPECT_EQ(action_called(name_of(static_cast<Action>(i))), static_cast<Action>(i));
  }
  EXPECT_EQ(reason_called("tcp_window"), Reason::tcp_window);
  EXPECT_FALSE(reason_called("tcp"));
  const CaptureFilter filter{.address = Ipv4Prefix::parse("10.0.0.0/8"),
                             .port = 80,
                             .protocol = Protocol::tcp,
                             .service = "web",
                             .backend = "a",
                             .verdict = Action::drop,
                             .reason = Reason::no_flow};
  EXPECT_EQ(filter.to_string(),
            "address 10.0.0.0/8, port 80, protocol tcp, service web, backend a, verdict drop, reason no_flow");
}

}  // namespace
}  // namespace vipgate
