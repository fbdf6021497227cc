// What doctor makes of a host: each thing wrong on purpose.

#include "runtime/doctor/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernel_example.h"
#include "support/temporary_folder.h"

namespace vipgate::doctor {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The host of kernel_example.h, on which everything is well.
Facts good_host() {
  Facts facts;
  facts.view.links = {{.index = 1, .name = "lo", .up = true, .loopback = true},
                      {.index = 2, .name = "eth0", .up = true, .carrier = true},
                      {.index = 3, .name = "eth1", .up = true, .carrier = true}};
  facts.view.addresses = {{"eth0", ip("198.51.100.1"), net("198.51.100.0/24"), AddressScope::global},
                          {"eth1", ip("10.0.0.1"), net("10.0.0.0/24"), AddressScope::global}};
  facts.view.main_routes = {
      {.destination = net("198.51.100.0/24"), .device = "eth0", .protocol = kByKernel},
      {.destination = net("10.0.0.0/24"), .device = "eth1", .protocol = kByKernel},
      {.destination = {}, .device = "eth0", .gateway = ip("198.51.100.254"), .protocol = kByAdministrator}};
  facts.view.rules = {{.priority = 0, .table = kLocalTable, .protocol = kByKernel},
                      {.priority = 32766, .table = kMainTable, .protocol = kByKernel}};
  for (const char* backend : {"10.0.0.2", "10.0.0.3", "10.0.0.8"}) facts.ways[ip(backend)] = {.device = "eth1"};
  facts.sysctls = {{"net/ipv4/ip_forward", "0"},           {"net/ipv4/conf/all/rp_filter", "0"},
                   {"net/ipv4/conf/eth0/forwarding", "0"}, {"net/ipv4/conf/eth1/forwarding", "0"},
                   {"net/ipv4/conf/eth0/rp_filter", "0"},  {"net/ipv4/conf/eth1/rp_filter", "0"}};
  facts.rights = {.net_admin = true, .net_raw = true};
  facts.kernel = {6, 18};
  facts.processors = 2;
  facts.places = {.flow_bytes = 1 << 20, .flow_room = 2 << 20, .flow_folder = "/run", .memory = 1 << 30};
  facts.merges = {{"eth0", true}, {"eth1", true}};
  return facts;
}

std::string line(const Finding& finding) {
  const char* const kNames[] = {"stops", "slows", "note"};
  return absl::StrCat(kNames[static_cast<int>(finding.severity)], " ", finding.subject, ": ", finding.what, " @ ",
                      finding.where);
}

std::vector<std::string> lines(const Config& config, const Facts& facts) {
  std::vector<std::string> texts;
  for (const Finding& finding : examine(config, facts).findings) {
    EXPECT_TRUE(finding.severity == Severity::note || !finding.remedies.empty()) << line(finding);
    texts.push_back(line(finding));
  }
  return texts;
}

/// What is found once this is wrong, beyond what is always said.
std::vector<std::string> found(const std::function<void(Config&, Facts&)>& harm,
                               SourceMode source = SourceMode::masquerade) {
  Config config = example_config(source);
  Facts facts = good_host();
  harm(config, facts);
  std::vector<std::string> texts = lines(config, facts);
  std::erase_if(texts,
                [](const std::string& text) { return text.find("cannot be seen whether") != std::string::npos; });
  return texts;
}

TEST(Doctor, a_good_host_has_nothing_that_stops_or_slows) {
  EXPECT_THAT(found([](Config&, Facts&) {}), IsEmpty());
  EXPECT_THAT(found([](Config&, Facts&) {}, SourceMode::preserve), IsEmpty());
  const Report report = examine(example_config(), good_host());
  EXPECT_GE(report.well.size(), 8U);
  EXPECT_FALSE(report.has(Severity::stops));
  EXPECT_EQ(report.findings.size(), 1U) << "what cannot be seen from here";
}

TEST(Doctor, rights) {
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.rights.net_admin = false; }),
              ElementsAre(HasSubstr("stops rights: as this user")));
  EXPECT_THAT(found([](Config&, Facts& facts) {
                facts.rights.net_admin = false;
                facts.running = true;
                facts.sysctls["net/ipv4/ip_forward"] = "1";
                for (auto& [key, value] : facts.sysctls) value = key.ends_with("forwarding") ? "1" : value;
              }),
              ElementsAre(HasSubstr("note rights")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.rights.tun = "No such file or directory"; }),
              ElementsAre(HasSubstr("stops rights: a TUN cannot be made: No such file")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.rights.realtime = "no right"; }),
              ElementsAre(HasSubstr("slows rights")));
  EXPECT_THAT(found([](Config& config, Facts& facts) {
                facts.rights.realtime = "no right";
                config.tun.scheduling = Scheduling::realtime;
              }),
              ElementsAre(HasSubstr("stops rights")));
  EXPECT_THAT(found([](Config& config, Facts& facts) {
                facts.rights.realtime = "no right";
                config.tun.scheduling = Scheduling::normal;
              }),
              IsEmpty());
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.rights.steering = "no right"; }),
              ElementsAre(HasSubstr("slows rights: packets reach the wrong worker")));
  EXPECT_THAT(found([](Config& config, Facts& facts) {
                facts.rights.steering = "no right";
                config.tun.workers = 1;
              }),
              IsEmpty());
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.rights.at_once = "forbidden"; }),
              ElementsAre(HasSubstr("slows kernel")));
  EXPECT_THAT(found([](Config&, Facts& facts) {
                facts.kernel = {6, 1};
              }),
              ElementsAre(HasSubstr("slows kernel: Linux 6.1")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.rights.read_only = true; }),
              ElementsAre(HasSubstr("read-only @ /proc/sys")));
  EXPECT_THAT(found([](Config& config, Facts& facts) {
                config.announcements = {{.address = ip("203.0.113.10"), .vip = true, .arp = {"eth0"}}};
                facts.rights.net_raw = false;
              }),
              ElementsAre(HasSubstr("stops rights: VIPs cannot be announced")));
}

TEST(Doctor, device) {
  const auto with = [](const Link& link) {
    return found([&](Config&, Facts& facts) { facts.view.links.push_back(link); });
  };
  Link tun{.index = 9, .name = "tun0", .kind = "tun", .queue_length = 10000};
  EXPECT_THAT(with({.index = 9, .name = "tun0", .kind = "bridge"}), ElementsAre(HasSubstr("a bridge and no TUN")));
  EXPECT_THAT(with(tun), ElementsAre(HasSubstr("a TAP and no TUN")));
  tun.tun = true;
  EXPECT_THAT(with(tun), ElementsAre(HasSubstr("stops device: tun0 is a TUN with a single queue")));
  tun.multi_queue = true;
  EXPECT_THAT(with(tun), ElementsAre(HasSubstr("note device")));
  EXPECT_THAT(found([](Config& config, Facts&) { config.tun.workers = 8; }),
              ElementsAre(HasSubstr("slows device: there are more workers (8) than processors (2)")));
}

TEST(Doctor, cards_that_do_not_join_packets) {
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.merges["eth0"] = false; }),
              ElementsAre(HasSubstr("slows cards: packets that come in by eth0")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.merges["eth7"] = false; }), IsEmpty())
      << "no traffic comes there";
}

TEST(Doctor, places) {
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.places.state_dir = "/run cannot be written to"; }),
              ElementsAre(HasSubstr("stops files: the state folder")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.places.control_socket = "it is no socket"; }),
              ElementsAre(HasSubstr("stops files: the control socket")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.places.flow_folder.clear(); }),
              ElementsAre(HasSubstr("stops files: flows need a tmpfs")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.places.flow_room = 1; }),
              ElementsAre(HasSubstr("there is no room for the flows: they take 1 MiB, and 0 MiB are free")));
  EXPECT_THAT(found([](Config&, Facts& facts) {
                facts.places.flow_room = 1;
                facts.places.flows_there = true;
              }),
              IsEmpty());
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.places.memory = 1; }), ElementsAre(HasSubstr("stops memory")));
  EXPECT_THAT(found([](Config& config, Facts& facts) {
                config.control.http = Endpoint{ip("127.0.0.1"), 9860};
                facts.places.http_listener = "nginx (process 12)";
              }),
              ElementsAre(HasSubstr("note ports: nginx (process 12) listens there")));
}

TEST(Doctor, what_a_start_would_refuse) {
  EXPECT_THAT(
      found([](Config&, Facts& facts) {
        facts.view.addresses.push_back({"eth0", ip("203.0.113.10"), net("203.0.113.10/32"), AddressScope::global});
      }),
      ElementsAre(HasSubstr("stops routes: VIP 203.0.113.10 is an address of this host already (on eth0)")));
  EXPECT_THAT(
      found([](Config&, Facts& facts) {
        facts.view.main_routes.push_back({.destination = net("203.0.113.8/29"), .device = "eth1", .protocol = 4});
      }),
      ElementsAre(HasSubstr("stops routes: VIP subnet 203.0.113.8/29 is already routed to eth1")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.view.table_routes = {{.device = "eth0", .table = 187}}; },
                    SourceMode::preserve),
              ElementsAre(HasSubstr("stops routes: table 187 is used by another program")));
}

TEST(Doctor, backends) {
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.ways[ip("10.0.0.2")] = {.problem = "Network is unreachable"}; }),
              ElementsAre(HasSubstr("stops backends: backend 10.0.0.2 cannot be reached: Network is unreachable")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.ways[ip("10.0.0.2")] = {.device = "lo", .local = true}; }),
              ElementsAre(HasSubstr("is this host itself")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.ways[ip("10.0.0.2")] = {.device = "tun0"}; }),
              ElementsAre(HasSubstr("is routed to tun0")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.view.links[2].carrier = false; }),
              Contains(HasSubstr("eth1, which leads to the backend 10.0.0.2, has no carrier")));
  EXPECT_THAT(found([](Config&, Facts& facts) {
                facts.view.main_routes.erase(facts.view.main_routes.begin() + 1);
                for (auto& [address, way] : facts.ways) way.device = "eth0";
              }),
              Contains(HasSubstr("note backends: nothing but the default route leads to the backend 10.0.0.2")));
}

TEST(Doctor, policy_rules_of_others) {
  const auto with = [](PolicyRule rule, std::vector<Route> routes) {
    return found([&](Config&, Facts& facts) {
      facts.view.rules.push_back(rule);
      facts.policy_tables[rule.table] = routes;
    });
  };
  const PolicyRule rule{.priority = 50, .table = 51820, .protocol = kByAdministrator};
  const Route elsewhere{.device = "wg0", .table = 51820};
  EXPECT_THAT(with(rule, {elsewhere}), ElementsAre(HasSubstr("sends packets to the backend 10.0.0.2 elsewhere")));
  EXPECT_THAT(with(rule, {}), IsEmpty()) << "an empty table lets them on";
  EXPECT_THAT(with(rule, {{.destination = net("192.0.2.0/24"), .device = "wg0", .table = 51820}}), IsEmpty());
  EXPECT_THAT(with(rule, {{.device = "eth1", .table = 51820}}), IsEmpty()) << "the same way";
  PolicyRule later = rule;
  later.priority = 200;
  EXPECT_THAT(with(later, {elsewhere}), IsEmpty());
  PolicyRule others = rule;
  others.incoming = "eth0";
  EXPECT_THAT(with(others, {elsewhere}), IsEmpty());
  PolicyRule refuses = rule;
  refuses.action = RuleAction::prohibit;
  EXPECT_THAT(with(refuses, {}), ElementsAre(HasSubstr("refuses packets to the backend 10.0.0.2")));
}

TEST(Doctor, forwarding_of_an_interface) {
  const auto harm = [](const char* forward) {
    return found([&](Config&, Facts& facts) {
      facts.sysctls["net/ipv4/ip_forward"] = forward;
      facts.sysctls["net/ipv4/conf/eth1/forwarding"] = "1";
    });
  };
  EXPECT_THAT(harm("1"),
              ElementsAre(HasSubstr("what comes in by eth0 is not forwarded @ net/ipv4/conf/eth0/forwarding")));
  EXPECT_THAT(harm("0"), IsEmpty()) << "vipgate switches it on for all";
}

TEST(Doctor, strict_reverse_path_filter) {
  const auto harm = [](const char* all, const char* second, bool default_there) {
    return found([&](Config&, Facts& facts) {
      facts.view.links.push_back({.index = 5, .name = "eth2", .up = true, .carrier = true});
      facts.sysctls["net/ipv4/conf/all/rp_filter"] = all;
      facts.view.reverse_filter = std::string(all) != "0";
      facts.sysctls["net/ipv4/conf/eth2/rp_filter"] = second;
      if (default_there)
        facts.view.main_routes.push_back({.device = "eth2", .gateway = ip("192.0.2.1"), .metric = 100});
    });
  };
  EXPECT_THAT(harm("1", "0", true), ElementsAre(HasSubstr("packets of clients that come by eth2 are dropped")));
  EXPECT_THAT(harm("0", "1", true), ElementsAre(HasSubstr("rp_filter")));
  EXPECT_THAT(harm("1", "2", true), IsEmpty());
  EXPECT_THAT(harm("1", "1", false), IsEmpty()) << "one uplink";
}

TEST(Doctor, reverse_path_filter_while_it_runs) {
  const auto harm = [](const char* all) {
    return found([&](Config&, Facts& facts) {
      facts.running = true;
      for (auto& [key, value] : facts.sysctls)
        value = key.ends_with("forward") || key.ends_with("forwarding") ? "1" : value;
      facts.sysctls["net/ipv4/conf/all/rp_filter"] = all;
      facts.sysctls["net/ipv4/conf/tun0/rp_filter"] = "0";
    });
  };
  EXPECT_THAT(harm("1"), ElementsAre(HasSubstr("reverse path filtering of tun0 has become strict")));
  EXPECT_THAT(harm("0"), IsEmpty());
  EXPECT_THAT(harm("2"), IsEmpty());
}

TEST(Doctor, forward_chain_that_drops) {
  Config config = example_config();
  Facts facts = good_host();
  facts.firewall.tables =
      parse_iptables("*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n", "iptables");
  const Report report = examine(config, facts);
  ASSERT_TRUE(report.has(Severity::stops));
  const Finding& finding = report.findings.front();
  EXPECT_THAT(finding.what, HasSubstr("clients' packets to 203.0.113.10:80 (eth0 → tun0)"));
  EXPECT_THAT(finding.what, HasSubstr("packets to the backend 10.0.0.2 (tun0 → eth1)"));
  EXPECT_EQ(finding.where, "iptables table filter, chain FORWARD: policy drop");
  EXPECT_THAT(finding.remedies,
              ElementsAre("iptables -I DOCKER-USER -i tun0 -j ACCEPT", "iptables -I DOCKER-USER -o tun0 -j ACCEPT"));
  facts.firewall.tables[0].chains["DOCKER-USER"].rules = {
      {.conditions = {{.field = Field::incoming, .words = {"tun0"}}}, .action = Action::accept},
      {.conditions = {{.field = Field::outgoing, .words = {"tun0"}}}, .action = Action::accept}};
  EXPECT_FALSE(examine(config, facts).has(Severity::stops));
}

TEST(Doctor, health_checks_that_are_dropped) {
  Config config = example_config();
  config.health = {{{.type = HealthType::tcp}}};
  Facts facts = good_host();
  facts.firewall.tables = parse_iptables("*filter\n:OUTPUT DROP [0:0]\n:INPUT ACCEPT [0:0]\n", "iptables");
  const Report report = examine(config, facts);
  ASSERT_TRUE(report.has(Severity::stops));
  EXPECT_THAT(report.findings.front().what, HasSubstr("health checks of 10.0.0.2"));
  EXPECT_THAT(report.findings.front().remedies, Contains("iptables -t filter -I OUTPUT -d 10.0.0.2 -j ACCEPT"));
  config.health = {{{.type = HealthType::none}}};
  EXPECT_FALSE(examine(config, facts).has(Severity::stops));
}

TEST(Doctor, connection_tracking) {
  const std::string tracks = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m conntrack --ctstate INVALID -j DROP\n";
  const std::string untrack =
      "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i tun0 -j CT --notrack\n-A PREROUTING -d 203.0.113.8/29 -j CT "
      "--notrack\n";
  const auto with = [](const std::string& text) {
    return found([&](Config&, Facts& facts) {
      facts.firewall.tables = parse_iptables(text, "iptables");
      facts.conntrack = {.entries = 3, .room = 65536};
    });
  };
  EXPECT_THAT(with(tracks), ElementsAre(HasSubstr("slows tracking")));
  EXPECT_THAT(with(tracks + untrack), IsEmpty());
  EXPECT_THAT(with("*filter\n:FORWARD ACCEPT [0:0]\n"), IsEmpty());
  EXPECT_THAT(
      found([&](Config&, Facts& facts) {
        facts.firewall.tables = parse_iptables(tracks, "iptables");
        facts.conntrack = {.entries = 100, .room = 100};
      }),
      ElementsAre(HasSubstr("stops tracking: the table of tracked connections is full"), HasSubstr("slows tracking")));
}

TEST(Doctor, a_table_without_a_limit_is_never_full) {
  EXPECT_THAT(found([](Config&, Facts& facts) {
                facts.firewall.tables = parse_iptables(
                    "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m conntrack --ctstate INVALID -j DROP\n", "iptables");
                facts.conntrack = {.entries = 100, .room = 0};
              }),
              ElementsAre(HasSubstr("slows tracking")));
}

TEST(Doctor, replies_that_are_not_tracked_need_a_rule_of_their_own) {
  const std::string text = R"(*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth0 -o tun0 -j ACCEPT
-A FORWARD -i tun0 -o eth1 -j ACCEPT
*raw
:PREROUTING ACCEPT [0:0]
)";
  const auto with = [](const std::string& whole) {
    return found([&](Config&, Facts& facts) { facts.firewall.tables = parse_iptables(whole, "iptables"); });
  };
  EXPECT_THAT(with(text), ElementsAre(HasSubstr("slows tracking")));
  EXPECT_THAT(with(text + "-A PREROUTING -j CT --notrack\n"), ElementsAre(HasSubstr("dropped: replies of")));
}

TEST(Doctor, translation_by_others) {
  const std::string text =
      "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p tcp -m tcp --dport 80 -j DNAT --to-destination "
      "10.0.0.9\n";
  const auto texts = found([&](Config&, Facts& facts) { facts.firewall.tables = parse_iptables(text, "iptables"); });
  EXPECT_THAT(
      texts,
      Contains(HasSubstr("stops translation: clients' packets to 203.0.113.10:80 (in by eth0) are sent elsewhere")));
  EXPECT_THAT(found([&](Config& config, Facts& facts) {
                config.rules.vips[0].services[0].ports = {{81, 81}};
                facts.firewall.tables = parse_iptables(text, "iptables");
              }),
              ElementsAre(HasSubstr("slows tracking")));
}

TEST(Doctor, sources_that_others_change) {
  const auto with = [](const std::string& condition) {
    const std::string text = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING " + condition + "-j MASQUERADE\n";
    auto texts = found([&](Config& config, Facts& facts) {
      config.rules.egress = {{.from = net("10.0.0.0/24"), .as = ip("203.0.113.10"), .except = {}}};
      facts.firewall.tables = parse_iptables(text, "iptables");
    });
    std::erase_if(texts, [](const std::string& one) { return one.find("slows tracking") != std::string::npos; });
    return texts;
  };
  EXPECT_THAT(with("-o eth0 "),
              ElementsAre(HasSubstr("note translation: flows that leave as 203.0.113.10 get another address")));
  EXPECT_THAT(with(""), Contains(HasSubstr("clients' packets to 203.0.113.10:80 get another source")));
  EXPECT_THAT(with("-s 172.17.0.0/16 ! -o docker0 "), IsEmpty());
}

TEST(Doctor, firewall_that_cannot_be_seen) {
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.firewall.unseen = {"there are rules of nftables"}; }),
              ElementsAre(HasSubstr("note firewall: there are rules of nftables")));
}

TEST(Doctor, managers) {
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.networkd.runs = true; }),
              ElementsAre(HasSubstr("slows managers: systemd-networkd")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.networkd = {true, false, false}; }), IsEmpty());
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.network_manager.runs = true; }),
              ElementsAre(HasSubstr("note managers: NetworkManager")));
  EXPECT_THAT(found([](Config&, Facts& facts) { facts.network_manager = {true, true}; }), IsEmpty());
}

void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(DoctorFiles, networkd_reads_its_main_file_and_then_drop_ins_by_name) {
  const test::TemporaryFolder folder;
  const std::string& root = folder.path();
  EXPECT_TRUE(find_networkd(root).manages_foreign_rules);
  write(root + "/etc/systemd/networkd.conf", "# comment\n[Network]\nManageForeignRoutingPolicyRules = no\n");
  EXPECT_FALSE(find_networkd(root).manages_foreign_rules);
  EXPECT_TRUE(find_networkd(root).manages_foreign_routes);
  write(root + "/usr/lib/systemd/networkd.conf.d/50-x.conf", "[Network]\nManageForeignRoutingPolicyRules=yes\n");
  EXPECT_TRUE(find_networkd(root).manages_foreign_rules);
  write(root + "/etc/systemd/networkd.conf.d/50-x.conf",
        "[Network]\nManageForeignRoutes=false\n");  // hides the other one
  EXPECT_FALSE(find_networkd(root).manages_foreign_rules);
  EXPECT_FALSE(find_networkd(root).manages_foreign_routes);
  write(root + "/run/systemd/networkd.conf.d/60-y.conf", "[DHCPv4]\nManageForeignRoutes=true\n");  // another section
  EXPECT_FALSE(find_networkd(root).manages_foreign_routes);
}

TEST(DoctorFiles, network_manager_is_told_to_leave_a_device) {
  const test::TemporaryFolder folder;
  const std::string& root = folder.path();
  EXPECT_FALSE(find_network_manager(root, "tun0").leaves_tun);
  write(root + "/etc/NetworkManager/conf.d/a.conf",
        "[keyfile]\nunmanaged-devices=mac:00:11:22:33:44:55;interface-name:tun*\n");
  EXPECT_TRUE(find_network_manager(root, "tun0").leaves_tun);
  EXPECT_FALSE(find_network_manager(root, "vip0").leaves_tun);
  write(root + "/etc/NetworkManager/conf.d/b.conf", "[device-vip]\nmatch-device=interface-name:vip0\nmanaged=0\n");
  EXPECT_TRUE(find_network_manager(root, "vip0").leaves_tun);
}

}  // namespace
}  // namespace vipgate::doctor
