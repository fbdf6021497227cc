#include "flow/flow_policy.h"

#include <gtest/gtest.h>

#include <optional>

#include "flow/flow_samples.h"

namespace vipgate::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

FlowRecord tcp_flow(TcpState state) {
  FlowRecord flow = numbered_flow(0, Protocol::tcp);
  flow.tcp.state = state;
  for (TcpPeer& peer : flow.tcp.peers) peer.max_window = 65535;  // both sides were heard
  return flow;
}

FlowRecord datagram_flow(Protocol protocol, bool answered) {
  FlowRecord flow = numbered_flow(0, protocol);
  flow.answered = answered ? 1 : 0;
  return flow;
}

const Timeouts kRfc;

Duration timeout(const FlowRecord& flow, std::optional<Duration> idle = std::nullopt) {
  return timeout_of(flow, kRfc, idle);
}

TEST(FlowPolicy, Rfc4787Req5_udp_is_kept_two_minutes_at_least) {
  EXPECT_GE(timeout(datagram_flow(Protocol::udp, false)), minutes(2));
  EXPECT_EQ(timeout(datagram_flow(Protocol::udp, false)), kRfc.udp_one_way);
  EXPECT_EQ(timeout(datagram_flow(Protocol::udp, true)), minutes(5));
}

TEST(FlowPolicy, Rfc5382Req5_established_is_kept_over_two_hours_and_the_rest_four_minutes) {
  EXPECT_GE(timeout(tcp_flow(TcpState::established)), hours(2) + minutes(4));
  for (const TcpState state : {TcpState::syn_sent, TcpState::syn_recv, TcpState::fin_wait, TcpState::close_wait,
                               TcpState::last_ack, TcpState::time_wait, TcpState::close, TcpState::syn_sent2}) {
    EXPECT_GE(timeout(tcp_flow(state)), minutes(4)) << name_of(state);
  }
}

TEST(FlowPolicy, Rfc5508Req2_icmp_queries_are_kept_a_minute_at_least) {
  EXPECT_GE(timeout(datagram_flow(Protocol::icmp, false)), minutes(1));
  EXPECT_EQ(timeout(datagram_flow(Protocol::icmp, true)), kRfc.icmp_query);
}

TEST(FlowPolicy, idle_timeout_of_a_service_is_for_flows_fully_set_up) {
  const Duration idle = seconds(33);
  EXPECT_EQ(timeout(tcp_flow(TcpState::established), idle), idle);
  EXPECT_EQ(timeout(datagram_flow(Protocol::udp, true), idle), idle);
  EXPECT_EQ(timeout(datagram_flow(Protocol::udp, false), idle), kRfc.udp_one_way);
  EXPECT_EQ(timeout(tcp_flow(TcpState::syn_sent), idle), kRfc.syn_sent);
  EXPECT_EQ(timeout(tcp_flow(TcpState::fin_wait), idle), kRfc.fin_wait);
  EXPECT_EQ(timeout(datagram_flow(Protocol::icmp, true), idle), kRfc.icmp_query);
}

TEST(FlowPolicy, each_tcp_state_has_the_timeout_of_its_name) {
  Timeouts timeouts;
  timeouts.syn_sent = seconds(1);
  timeouts.syn_recv = seconds(2);
  timeouts.established = seconds(3);
  timeouts.fin_wait = seconds(4);
  timeouts.close_wait = seconds(5);
  timeouts.last_ack = seconds(6);
  timeouts.time_wait = seconds(7);
  timeouts.close = seconds(8);
  const auto of = [&](TcpState state) { return timeout_of(tcp_flow(state), timeouts, std::nullopt); };
  EXPECT_EQ(of(TcpState::syn_sent), seconds(1));
  EXPECT_EQ(of(TcpState::syn_sent2), seconds(1));
  EXPECT_EQ(of(TcpState::syn_recv), seconds(2));
  EXPECT_EQ(of(TcpState::established), seconds(3));
  EXPECT_EQ(of(TcpState::fin_wait), seconds(4));
  EXPECT_EQ(of(TcpState::close_wait), seconds(5));
  EXPECT_EQ(of(TcpState::last_ack), seconds(6));
  EXPECT_EQ(of(TcpState::time_wait), seconds(7));
  EXPECT_EQ(of(TcpState::close), seconds(8));
}

TEST(FlowPolicy, classes_follow_the_state) {
  EXPECT_EQ(class_of(tcp_flow(TcpState::syn_sent)), FlowClass::half_open);
  EXPECT_EQ(class_of(tcp_flow(TcpState::syn_sent2)), FlowClass::half_open);
  EXPECT_EQ(class_of(tcp_flow(TcpState::syn_recv)), FlowClass::half_open);
  EXPECT_EQ(class_of(tcp_flow(TcpState::established)), FlowClass::live);
  EXPECT_EQ(class_of(tcp_flow(TcpState::fin_wait)), FlowClass::live);
  EXPECT_EQ(class_of(tcp_flow(TcpState::close_wait)), FlowClass::live);
  EXPECT_EQ(class_of(tcp_flow(TcpState::last_ack)), FlowClass::live);
  EXPECT_EQ(class_of(tcp_flow(TcpState::time_wait)), FlowClass::closed);
  EXPECT_EQ(class_of(tcp_flow(TcpState::close)), FlowClass::closed);
  for (const Protocol protocol : {Protocol::udp, Protocol::icmp}) {
    EXPECT_EQ(class_of(datagram_flow(protocol, false)), FlowClass::one_way);
    EXPECT_EQ(class_of(datagram_flow(protocol, true)), FlowClass::live);
  }
}

TEST(FlowPolicy, picked_up_with_one_side_heard_is_half_open_and_short_lived) {
  FlowRecord flow = tcp_flow(TcpState::none);
  const TcpSegment segment{
      .sequence = 1, .acknowledgement = 2, .window = 100, .flags = tcp::kAck, .payload_length = 0, .options = {}};
  flow.tcp = tcp_pick_up(segment, Direction::original);
  EXPECT_EQ(class_of(flow), FlowClass::half_open);
  EXPECT_LE(timeout(flow, hours(5)), minutes(5)) << "the service's idle timeout is for both sides heard";
}

}  // namespace
}  // namespace vipgate::test
