#include <gtest/gtest.h>

#include "engine/ftp_session.h"

// FTP through the gateway: the control connection announces a port, and the data connection finds its way.
//
//     client 198.51.100.7 ── VIP 203.0.113.10:21 ── backend 10.0.0.4:21

namespace vipgate::test {
namespace {

using std::chrono::seconds;

class Ftp : public ::testing::TestWithParam<std::tuple<SourceMode, std::uint32_t>> {
 protected:
  SourceMode mode() const { return std::get<0>(GetParam()); }
  World world_{ftp_rules(mode()), 64 * 1024, std::get<1>(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(ModesAndWorkers, Ftp,
                         ::testing::Combine(::testing::Values(SourceMode::masquerade, SourceMode::preserve),
                                            ::testing::Values(1U, 4U)));

TEST_P(Ftp, Rfc959_PassiveModeGoesToThePortOfTheVipThatIsAnnounced) {
  for (int i = 0; i < 20; ++i) {
    const std::string client = "198.51.100.7:" + std::to_string(40000 + i);
    FtpControl control(world_, client);
    control.client_says("PASV\r\n");
    const std::string line = control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
    const std::string announced = endpoint_in(line);
    EXPECT_EQ(endpoint(announced).address, address("203.0.113.10")) << line;
    EXPECT_TRUE(kHelperPorts.contains(endpoint(announced).port));
    const std::string data = "198.51.100.7:" + std::to_string(50000 + i);
    const std::string source = open_data(world_, data, announced, "10.0.0.4:51210");
    EXPECT_EQ(endpoint(source).address, endpoint(control.seen()).address) << "as the control connection";
    EXPECT_EQ(control.client_says("RETR file\r\n"), "RETR file\r\n");
    EXPECT_EQ(control.backend_says("226 done\r\n"), "226 done\r\n") << "behind an edit all goes on";
  }
}

TEST_P(Ftp, Rfc2428_ExtendedPassiveModeHasAPortAlone) {
  FtpControl control(world_);
  control.client_says("EPSV\r\n");
  const std::string line = control.backend_says("229 Entering Extended Passive Mode (|||51210|)\r\n");
  const auto at = line.find("|||");
  ASSERT_NE(at, std::string::npos) << line;
  open_data(world_, "198.51.100.7:50000", "203.0.113.10:" + std::to_string(std::stoi(line.substr(at + 3))),
            "10.0.0.4:51210");
}

TEST_P(Ftp, Rfc959_ActiveModeComesBackToThePortThatTheClientNamed) {
  for (int i = 0; i < 20; ++i) {
    const std::string client = "198.51.100.7:" + std::to_string(40000 + i);
    FtpControl control(world_, client);
    const std::string line = control.client_says("PORT 198,51,100,7,195,80\r\n");
    const std::string announced = endpoint_in(line);
    EXPECT_EQ(endpoint(announced).address, endpoint(control.seen()).address) << line;
    const std::string source = open_data(world_, "10.0.0.4:20", announced, "198.51.100.7:50000");
    EXPECT_EQ(endpoint(source).address, address("203.0.113.10"));
    EXPECT_EQ(control.backend_says("200 PORT command successful.\r\n"), "200 PORT command successful.\r\n");
    EXPECT_EQ(control.client_says("LIST\r\n"), "LIST\r\n");
  }
}

TEST_P(Ftp, Rfc2428_ExtendedActiveModeToo) {
  FtpControl control(world_);
  const std::string line = control.client_says("EPRT |1|198.51.100.7|50000|\r\n");
  const auto first = line.find('|', 8);
  const std::string announced = line.substr(8, first - 8) + ":" + std::to_string(std::stoi(line.substr(first + 1)));
  open_data(world_, "10.0.0.4:20", announced, "198.51.100.7:50000");
}

TEST_P(Ftp, Cve2001_0405_AThirdPartyGetsNoWayIn) {
  FtpControl control(world_);
  EXPECT_EQ(control.client_says("PORT 192,0,2,66,195,80\r\n"), "PORT 0,0,0,0,0,0\r\n");
  EXPECT_EQ(control.client_says("PORT 198,51,100,7,0,25\r\n"), "PORT 0,0,0,0,0,0\r\n") << "RFC 2577, section 3";
  EXPECT_EQ(control.backend_says("227 Entering Passive Mode (192,0,2,66,200,10)\r\n"),
            "227 Entering Passive Mode (192,0,2,66,200,10)\r\n");
  EXPECT_EQ(world_.flows(), 1U);
  EXPECT_EQ(world_.counters().data_connections_refused, 3U);
}

TEST_P(Ftp, Cve2002_0060_OnlyTheClientMayUseWhatWasAnnounced) {
  FtpControl control(world_);
  const std::string announced = endpoint_in(control.backend_says("227 Passive (10,0,0,4,200,10)\r\n"));
  EXPECT_EQ(world_.send(tcp("192.0.2.66:50000", announced).syn()).verdict.reason, Reason::egress_filtered);
  open_data(world_, "198.51.100.7:50000", announced, "10.0.0.4:51210");
  EXPECT_EQ(world_.send(tcp("198.51.100.7:50001", announced).syn()).verdict.action, Action::drop) << "once";
}

TEST_P(Ftp, AnExpectationEndsWithTimeWithTheNextAndWithItsControlConnection) {
  FtpControl control(world_);
  const std::string first = endpoint_in(control.backend_says("227 Passive (10,0,0,4,200,10)\r\n"));
  EXPECT_EQ(world_.flows(), 2U);
  const std::string second = endpoint_in(control.backend_says("227 Passive (10,0,0,4,200,11)\r\n"));
  EXPECT_EQ(world_.flows(), 2U) << "one at a time";
  world_.pass_time(seconds(302));
  EXPECT_EQ(world_.send(tcp("198.51.100.7:50000", second).syn()).verdict.reason, Reason::egress_filtered);
  EXPECT_EQ(world_.flows(), 1U);
  control.backend_says("227 Passive (10,0,0,4,200,12)\r\n");
  world_.reload(rules_with({}));
  world_.pass_time(seconds(1));
  EXPECT_EQ(world_.flows(), 0U);
}

TEST_P(Ftp, SessionsOfOneClientLeaveEachOthersExpectationsAlone) {
  // More sessions than shards: some share one, where each new announcement begins to look for a port at the same place.
  std::vector<std::unique_ptr<FtpControl>> controls;
  for (int i = 0; i < 200; ++i) {
    controls.push_back(std::make_unique<FtpControl>(world_, "198.51.100.7:" + std::to_string(40000 + i)));
  }
  int data_port = 50000;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<std::string, std::string>> waiting;  // announced, and where it goes
    for (std::size_t i = 0; i < controls.size(); ++i) {
      const int port = (200 << 8) + static_cast<int>(i);
      const std::string line = "227 Passive (10,0,0,4,200," + std::to_string(i) + ")\r\n";
      const std::string announced = endpoint_in(controls[i]->backend_says(line));
      const std::string target = "10.0.0.4:" + std::to_string(port);
      if ((i + static_cast<std::size_t>(round)) % 2 == 0) {
        open_data(world_, "198.51.100.7:" + std::to_string(data_port++), announced, target);
      } else {
        waiting.emplace_back(announced, target);
      }
    }
    for (const auto& [announced, target] : waiting) {
      open_data(world_, "198.51.100.7:" + std::to_string(data_port++), announced, target);
    }
  }
}

TEST_P(Ftp, Fault20_ARetransmittedLineIsRewrittenAlike) {
  FtpControl control(world_);
  const std::string line = "227 Entering Passive Mode (10,0,0,4,200,10).\r\n";
  const auto segment = tcp(kFtpBackend, control.seen()).seq(5001).ack(1001).psh().payload(line).build();
  const Outcome first = world_.send(segment);
  const Outcome again = world_.send(segment);
  ASSERT_EQ(first.verdict.action, Action::forward);
  EXPECT_TRUE(std::ranges::equal(first.out.at(0).bytes(), again.out.at(0).bytes()));
  EXPECT_EQ(world_.counters().data_connections_announced, 1U);
}

TEST_P(Ftp, BothEndsAreResetWithTheNumbersThatTheyKnow) {
  FtpControl control(world_);
  const std::string line = control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
  const std::string port = control.client_says("PORT 198,51,100,7,195,80\r\n");
  world_.reload(rules_with({}));
  world_.pass_time(seconds(1));
  const auto resets = world_.sent_meanwhile();
  ASSERT_EQ(resets.size(), 2U);
  const auto sequence = [](const WirePacket& packet) { return packet.bytes()[26] << 8 | packet.bytes()[27]; };
  EXPECT_EQ(sequence(resets[0]), 5001 + static_cast<int>(line.size()));
  EXPECT_EQ(sequence(resets[1]), 1001 + static_cast<int>(port.size()));
}

TEST_P(Ftp, DataConnectionsGoOnOverAReloadThatKeepsTheirService) {
  FtpControl control(world_);
  const std::string first = endpoint_in(control.backend_says("227 Passive (10,0,0,4,200,10)\r\n"));
  const std::string source = open_data(world_, "198.51.100.7:50000", first, "10.0.0.4:51210");
  const std::string second = endpoint_in(control.backend_says("227 Passive (10,0,0,4,200,11)\r\n"));
  Rules rules = ftp_rules(mode());
  rules.vips[0].services.insert(rules.vips[0].services.begin(), rules_with({{.name = "web"}}).vips[0].services.front());
  world_.reload(rules);
  world_.pass_time(seconds(1));
  EXPECT_EQ(world_.send(tcp("10.0.0.4:51210", source).seq(91).ack(75).payload("file")).verdict.action, Action::forward);
  open_data(world_, "198.51.100.7:50001", second, "10.0.0.4:51211");
  rules.vips[0].services[1].helper = Helper::none;
  world_.reload(rules);
  world_.pass_time(seconds(1));
  EXPECT_EQ(world_.flows(), 1U) << "the control connection goes on without a helper's help";
  EXPECT_EQ(world_.sent_meanwhile().size(), 4U);
}

TEST_P(Ftp, DataConnectionsFollowTheControlConnectionsBackend) {
  FtpControl control(world_);
  control.client_says("PASV\r\n");
  Rules rules = ftp_rules(mode());
  int port = 50000;
  for (bool Backend::*state : {&Backend::drained, &Backend::down}) {
    const std::string before = endpoint_in(control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n"));
    rules.vips[0].services[0].backends[0].*state = true;
    world_.reload(rules);
    world_.pass_time(seconds(1));
    open_data(world_, "198.51.100.7:" + std::to_string(++port), before, "10.0.0.4:51210");
    const std::string after = endpoint_in(control.backend_says("227 Entering Passive Mode (10,0,0,4,200,11).\r\n"));
    open_data(world_, "198.51.100.7:" + std::to_string(++port), after, "10.0.0.4:51211");
  }
  EXPECT_EQ(world_.counters().flows_revoked, 0U);

  const std::string announced = endpoint_in(control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n"));
  rules.vips[0].services[0].on_backend_down = OnBackendDown::reset;
  world_.reload(rules);
  EXPECT_NE(world_.send(tcp("198.51.100.7:50100", announced).syn()).verdict.action, Action::forward);
  world_.pass_time(seconds(1));
  EXPECT_EQ(world_.flows(), 0U);
  EXPECT_EQ(world_.sent_meanwhile().size(), 10U) << "four data connections and their control connection, at both ends";
}

TEST_P(Ftp, AnIcmpErrorQuotesTheNumberThatTheSenderKnows) {
  FtpControl control(world_);
  const std::string said = "227 Entering Passive Mode (10,0,0,4,200,10).\r\n";
  const std::string read = control.backend_says(said);
  const auto own = static_cast<std::uint32_t>(5001 + said.size());
  const auto seen = static_cast<std::uint32_t>(5001 + read.size());
  ASSERT_NE(own, seen);
  ASSERT_EQ(world_.send(tcp(kFtpBackend, control.seen()).seq(own).ack(1001).payload_of(1400)).verdict.action,
            Action::forward);
  const WirePacket quoted = tcp(kFtpVip, kFtpClient).seq(seen).ack(1001).payload_of(1400).build();
  const Outcome error = world_.send(icmp_error("192.0.2.99", "203.0.113.10", 3, 4).mtu(1300).quoting(quoted));
  ASSERT_EQ(error.verdict.action, Action::forward) << name_of(error.verdict.reason);
  const auto bytes = error.out.at(0).bytes();
  EXPECT_EQ(static_cast<std::uint32_t>(bytes[52]) << 24 | static_cast<std::uint32_t>(bytes[53]) << 16 |
                static_cast<std::uint32_t>(bytes[54]) << 8 | bytes[55],
            own);
}

TEST_P(Ftp, Rfc4787Req10_Rfc5382Req6_ServicesWithoutTheHelperAreLeftAlone) {
  Rules rules = ftp_rules(mode());
  rules.vips[0].services[0].helper = Helper::none;
  World world(rules);
  FtpControl control(world);
  const std::string line = "227 Entering Passive Mode (10,0,0,4,200,10)\r\n";
  EXPECT_EQ(control.backend_says(line), line) << "RFC 4787, REQ-10: helpers are off unless asked for";
}

TEST_P(Ftp, SynsLeaveRoomForLongerAddresses) {
  const Outcome syn = world_.send(tcp("198.51.100.9:1234", kFtpVip).syn().mss(1460));
  EXPECT_EQ(syn.out.at(0).bytes()[42] << 8 | syn.out[0].bytes()[43], 1460 - 64);
}

TEST_P(Ftp, ControlConnectionsBeyondTheirRecordsAreResetAndRecordsComeBack) {
  World world(ftp_rules(mode()), kShards * 16);  // one record a shard
  const auto open = [&] {
    int opened = 0;
    for (int i = 0; i < 500; ++i) {
      Connection connection(world, "198.51.100.7:" + std::to_string(20000 + i), kFtpVip);
      opened += connection.open() ? 1 : 0;
    }
    return opened;
  };
  for (int i = 0; i < 1000; ++i) world.send(tcp("192.0.2.9:" + std::to_string(1024 + i), kFtpVip).syn());
  EXPECT_EQ(open(), 64) << "whatever a flood of SYNs asks for";
  world.pass_time(seconds(7500));
  EXPECT_EQ(open(), 64);
}

}  // namespace
}  // namespace vipgate::test
