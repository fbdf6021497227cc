// How doctor reads packet filters, and what becomes of packets in them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernel_example.h"
#include "runtime/doctor/firewall_walk.h"

namespace vipgate::doctor {
namespace {

using ::testing::HasSubstr;

/// A client's packet: in by eth0, to port 80 of the VIP.
Sample client() {
  return {.incoming = "eth0",
          .outgoing = "tun0",
          .destination = {ip("203.0.113.10").value(), ip("203.0.113.10").value()},
          .protocol = {6, 6},
          .destination_port = {80, 80}};
}

Sample reply() {
  return {.incoming = "tun0",
          .outgoing = "eth0",
          .source = {ip("203.0.113.10").value(), ip("203.0.113.10").value()},
          .protocol = {6, 6},
          .source_port = {80, 80},
          .state = "established"};
}

/// One table "inet t" with a base chain "f" that drops, and rules in it, as nft prints them.
std::vector<Table> nft(const std::vector<std::string>& expressions, const std::string& more = "",
                       const std::string& policy = "drop") {
  std::string text = R"({"nftables": [{"metainfo": {"json_schema_version": 1}},
    {"table": {"family": "inet", "name": "t", "handle": 1}},
    {"chain": {"family": "inet", "table": "t", "name": "f", "handle": 1, "type": "filter", "hook": "forward", "prio": 0,
               "policy": ")" +
                     policy + R"("}})" + more;
  int handle = 2;
  for (const std::string& expression : expressions) {
    text += R"(,{"rule": {"family": "inet", "table": "t", "chain": "f", "handle": )" + std::to_string(handle++) +
            R"(, "expr": )" + expression + "}}";
  }
  const auto tables = parse_nft(text + "]}");
  EXPECT_TRUE(tables.has_value());
  return tables.value_or(std::vector<Table>());
}

Fate in_nft(const std::vector<std::string>& expressions, const Sample& sample, const std::string& more = "") {
  const std::vector<Table> tables = nft(expressions, more);
  return walk(tables.at(0), tables.at(0).chains.at("f"), sample);
}

std::string match(const std::string& left, const std::string& right, const std::string& op = "==") {
  return R"({"match": {"op": ")" + op + R"(", "left": )" + left + R"(, "right": )" + right + "}}";
}
const std::string kIncoming = R"({"meta": {"key": "iifname"}})";
const std::string kOutgoing = R"({"meta": {"key": "oifname"}})";
const std::string kState = R"({"ct": {"key": "state"}})";
const std::string kPort = R"({"payload": {"protocol": "tcp", "field": "dport"}})";
const std::string kTo = R"({"payload": {"protocol": "ip", "field": "daddr"}})";
const std::string kFrom = R"({"payload": {"protocol": "ip", "field": "saddr"}})";
const std::string kAccept = R"({"accept": null})";

TEST(DoctorFirewall, a_policy_drops) {
  const Fate fate = in_nft({}, client());
  EXPECT_TRUE(fate.all_dropped());
  EXPECT_EQ(fate.dropped_by, nullptr);
}

TEST(DoctorFirewall, a_rule_for_the_device_accepts) {
  EXPECT_FALSE(in_nft({"[" + match(kOutgoing, R"("tun0")") + "," + kAccept + "]"}, client()).drops);
  EXPECT_FALSE(in_nft({"[" + match(kOutgoing, R"("tun*")") + "," + kAccept + "]"}, client()).drops);
  EXPECT_FALSE(in_nft({"[" + match(kOutgoing, R"({"set": ["eth7", "tun0"]})") + "," + kAccept + "]"}, client()).drops);
  EXPECT_TRUE(in_nft({"[" + match(kOutgoing, R"("tun1")") + "," + kAccept + "]"}, client()).all_dropped());
  EXPECT_TRUE(in_nft({"[" + match(kOutgoing, R"("tun0")", "!=") + "," + kAccept + "]"}, client()).all_dropped());
  EXPECT_TRUE(in_nft({"[" + match(kIncoming, R"("tun0")") + "," + kAccept + "]"}, client()).all_dropped());
}

TEST(DoctorFirewall, established_is_not_new) {
  const std::string rule = "[" + match(kState, R"(["established", "related"])", "in") + "," + kAccept + "]";
  EXPECT_TRUE(in_nft({rule}, client()).all_dropped());
  EXPECT_FALSE(in_nft({rule}, reply()).drops);
  Sample untracked = reply();
  untracked.state = "untracked";
  EXPECT_TRUE(in_nft({rule}, untracked).all_dropped());
}

TEST(DoctorFirewall, addresses_and_ports) {
  const std::string port = match(kPort, R"({"set": [443, {"range": [79, 81]}]})");
  const std::string to = match(kTo, R"({"prefix": {"addr": "203.0.113.8", "len": 29}})");
  EXPECT_FALSE(
      in_nft({"[" + port + "," + to + R"(,{"counter": {"packets": 0, "bytes": 0}},)" + kAccept + "]"}, client()).drops);
  EXPECT_TRUE(in_nft({"[" + match(kPort, "443") + "," + kAccept + "]"}, client()).all_dropped());
  Sample datagram = client();
  datagram.protocol = {17, 17};
  EXPECT_TRUE(in_nft({"[" + port + "," + kAccept + "]"}, datagram).all_dropped());
}

TEST(DoctorFirewall, a_named_set_is_looked_up) {
  const std::string set =
      R"(,{"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr", "elem": ["203.0.113.10", {"range": ["10.0.0.1", "10.0.0.9"]}]}})";
  EXPECT_FALSE(in_nft({"[" + match(kTo, R"("@s")") + "," + kAccept + "]"}, client(), set).drops);
  EXPECT_TRUE(in_nft({"[" + match(kTo, R"("@s")", "!=") + "," + kAccept + "]"}, client(), set).all_dropped());
}

TEST(DoctorFirewall, what_holds_for_some_is_doubtful) {
  const Fate fate = in_nft({"[" + match(kFrom, R"("198.51.100.7")") + "," + kAccept + "]"}, client());
  EXPECT_TRUE(fate.some_dropped());
  const Fate limited = in_nft({R"([{"limit": {"rate": 5, "per": "second"}}, {"accept": null}])"}, client());
  EXPECT_TRUE(limited.some_dropped());
}

TEST(DoctorFirewall, a_list_of_the_unwanted_is_no_fault) {
  const std::vector<Table> tables = nft({"[" + match(kFrom, R"("192.0.2.1")") + R"(, {"drop": null}])",
                                         "[" + match(kState, R"("invalid")", "in") + R"(, {"drop": null}])"},
                                        "", "accept");
  const Fate fate = walk(tables[0], tables[0].chains.at("f"), client());
  EXPECT_FALSE(fate.drops);
  EXPECT_TRUE(fate.passes);
}

TEST(DoctorFirewall, jumps_return_and_maps_choose) {
  const std::string chains =
      R"(,{"chain": {"family": "inet", "table": "t", "name": "c", "handle": 9}}
         ,{"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 10, "expr": [)" +
      match(kPort, "22") + R"(, {"return": null}]}}
         ,{"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 11, "expr": [{"reject": null}]}})";
  const Fate fate = in_nft({R"([{"jump": {"target": "c"}}])", "[" + kAccept + "]"}, client(), chains);
  ASSERT_TRUE(fate.all_dropped());
  EXPECT_EQ(fate.dropped_by != nullptr, true);
  Sample ssh = client();
  ssh.destination_port = {22, 22};
  EXPECT_FALSE(in_nft({R"([{"jump": {"target": "c"}}])", "[" + kAccept + "]"}, ssh, chains).drops);
  const std::string map = R"([{"vmap": {"key": )" + kIncoming +
                          R"(, "data": {"set": [["eth1", {"accept": null}], ["eth0", {"goto": {"target": "c"}}]]}}}])";
  EXPECT_TRUE(in_nft({map}, client(), chains).all_dropped());
  Sample inside = client();
  inside.incoming = "eth1";
  EXPECT_FALSE(in_nft({map}, inside, chains).drops);
}

TEST(DoctorFirewall, chains_that_call_each_other_end) {
  const std::string chains = R"(,{"chain": {"family": "inet", "table": "t", "name": "c", "handle": 9}}
         ,{"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 10, "expr": [{"jump": {"target": "c"}}]}})";
  EXPECT_TRUE(in_nft({R"([{"jump": {"target": "c"}}])"}, client(), chains).all_dropped());
}

TEST(DoctorFirewall, translation_and_tracking) {
  const std::vector<Table> tables = nft({"[" + match(kTo, R"("203.0.113.10")") + "," + match(kPort, "80") +
                                         R"(, {"dnat": {"family": "ip", "addr": "10.0.0.3"}}])"},
                                        "", "accept");
  const Fate fate = walk(tables[0], tables[0].chains.at("f"), client());
  ASSERT_EQ(fate.translated_by.size(), 1U);
  EXPECT_EQ(fate.translated_by[0]->removal, "nft delete rule inet t f handle 2");
  EXPECT_TRUE(Firewall{.tables = tables}.tracks());
  EXPECT_FALSE(Firewall{.tables = nft({R"([{"notrack": null}])"})}.tracks());
  EXPECT_TRUE(in_nft({R"([{"notrack": null}])"}, client()).untracked);
  EXPECT_FALSE(in_nft({"[" + kAccept + "]", R"([{"notrack": null}])"}, client()).untracked);
}

TEST(DoctorFirewall, what_is_not_understood_is_no_proof) {
  EXPECT_TRUE(in_nft({R"([{"xt": {"type": "match", "name": "policy"}}, {"accept": null}])"}, client()).some_dropped());
  EXPECT_TRUE(in_nft({"[" + match(R"({"concat": [1, 2]})", R"("x")") + "," + kAccept + "]"}, client()).some_dropped());
  EXPECT_FALSE(parse_nft("not JSON").has_value());
  EXPECT_FALSE(parse_nft("{}").has_value());
  EXPECT_TRUE(
      parse_nft(R"({"nftables": [{"rule": {"expr": 7}}, {"chain": []}, 3, {"table": {"family": 1}}]})").has_value());
}

TEST(DoctorFirewall, rules_of_the_other_family_do_not_hold) {
  const std::string ipv6 = R"({"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv6"}})";
  const std::string ipv4 = R"({"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv4"}})";
  EXPECT_TRUE(in_nft({"[" + ipv6 + "," + kAccept + "]"}, client()).all_dropped());
  EXPECT_FALSE(in_nft({"[" + ipv4 + "," + kAccept + "]"}, client()).drops);
}

Fate in_iptables(const std::string& text, const Sample& sample, const std::string& chain = "FORWARD") {
  const std::vector<Table> tables = parse_iptables(text, "iptables");
  return walk(tables.at(0), tables.at(0).chains.at(chain), sample);
}

TEST(DoctorFirewall, as_docker_makes_it) {
  const std::string docker = R"(# Generated by iptables-save
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
:DOCKER-FORWARD - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -i docker0 ! -o docker0 -j ACCEPT
)";
  EXPECT_TRUE(in_iptables(docker, client()).all_dropped());
  EXPECT_FALSE(in_iptables(docker + "-A DOCKER-USER -o tun0 -j ACCEPT\n", client()).drops);
  EXPECT_TRUE(in_iptables(docker + "-A DOCKER-USER -o tun0 -j RETURN\n", client()).all_dropped());
}

TEST(DoctorFirewall, words_of_iptables) {
  const std::string head = "*filter\n:FORWARD DROP [0:0]\n";
  const auto passes = [&](const std::string& rule) {
    return !in_iptables(head + "-A FORWARD " + rule + "\n", client()).drops;
  };
  EXPECT_TRUE(passes("-d 203.0.113.8/29 -i eth+ -p tcp -m tcp --dport 80 -j ACCEPT"));
  EXPECT_TRUE(passes("-p tcp -m multiport --dports 22,79:81 -m comment --comment \"to -j DROP or not\" -j ACCEPT"));
  EXPECT_TRUE(passes("-m conntrack ! --ctstate INVALID -j ACCEPT"));
  EXPECT_FALSE(passes("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"));
  EXPECT_FALSE(passes("! -d 203.0.113.8/29 -j ACCEPT"));
  EXPECT_FALSE(passes("-p udp -j ACCEPT"));
  EXPECT_FALSE(passes("-m addrtype --dst-type LOCAL -j ACCEPT"));
  EXPECT_TRUE(in_iptables(head + "-A FORWARD -m set --match-set good src -j ACCEPT\n", client()).some_dropped());
  EXPECT_TRUE(in_iptables(head + "-A FORWARD -j LOG --log-prefix \"-j ACCEPT\"\n", client()).all_dropped());
}

TEST(DoctorFirewall, translation_of_iptables) {
  const std::string text = R"(*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 203.0.113.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:80
)";
  const std::vector<Table> tables = parse_iptables(text, "iptables");
  const Chain& chain = tables.at(0).chains.at("PREROUTING");
  EXPECT_EQ(chain.type, "nat");
  EXPECT_EQ(chain.priority, -100);
  const Fate fate = walk(tables[0], chain, client());
  ASSERT_EQ(fate.translated_by.size(), 1U);
  EXPECT_EQ(
      fate.translated_by[0]->removal,
      "iptables -t nat -D PREROUTING -d 203.0.113.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:80");
  EXPECT_THAT(tables[0].place(chain), HasSubstr("iptables table nat, chain PREROUTING"));
}

TEST(DoctorFirewall, untracked_by_iptables) {
  const std::string text = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -j CT --notrack\n";
  EXPECT_TRUE(in_iptables(text, client(), "PREROUTING").untracked);
  EXPECT_FALSE(in_iptables(text, reply(), "PREROUTING").untracked);
}

}  // namespace
}  // namespace vipgate::doctor
