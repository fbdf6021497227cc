#include <chrono>

#include "fault_cases.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

Ipv4Address address(std::string_view text) {
  return Ipv4Address::parse(text).value();
}

TEST(Vips, Faults) {
  const std::vector<FaultCase> cases{
      {"none", R"(@{"tun": {"subnet": "203.0.113.8/29"}})", "\"vips\" is missing"},
      {"no list", R"({"tun": {"subnet": "203.0.113.8/29"}, "vips": @{}})",
       "\"vips\": an object must be a list of VIPs"},
      {"empty list", R"({"tun": {"subnet": "203.0.113.8/29"}, "vips": @[]})", "\"vips\": the list is empty"},
      {"no object", with_vips("@\"203.0.113.10\""), "a VIP must be an object { }, not \"203.0.113.10\""},
      {"no services", with_vips(R"(@{"address": "203.0.113.10"})"), "\"services\" is missing: a VIP needs"},
      {"services no list", with_vips(R"({"address": "203.0.113.10", "services": @{}})"),
       "an object must be a list of services"},
      {"services empty", with_vips(R"({"address": "203.0.113.10", "services": @[]})"),
       "\"services\": the list is empty"},
      {"no address",
       with_vips(R"(@{"services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]})"),
       "\"address\" is missing: a VIP needs"},
      {"ping", in_vip(R"("ping": @"yes")"), "\"ping\": \"yes\" must be true, false or \"healthy\""},
      {"ping number", in_vip(R"("ping": @1)"), "\"ping\": 1 must be true, false or \"healthy\""},
      {"unmatched", in_vip(R"("unmatched": @"refuse")"), "\"refuse\" must be \"reject\" or \"drop\""},
      {"shared word", in_vip(R"("shared": @"no")"), "\"no\" must be true or false"},
      {"unknown", in_vip(R"(@"service": [])"), "did you mean \"services\"?"},
      {"duplicate", in_vip("#\"ping\": true,\n@\"ping\": true"), "duplicate key \"ping\""},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Vips, Addresses) {
  const auto vip = [](const std::string& text) {
    return with_vips(R"({"address": )" + text +
                     R"(, "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]})");
  };
  const std::vector<FaultCase> cases{
      {"interface", vip(R"(@{"interface": "ppp0"})"),
       "this host's own, whose other ports stay the host's; add \"shared\""},
      {"number", vip("@5"), "5 must be an IPv4 address"},
      {"name", vip("@\"example.org\""), "\"example.org\" must be an IPv4 address"},
      {"prefix", vip("@\"203.0.113.10/32\""), "must be an IPv4 address"},
      {"unspecified", vip("@\"0.0.0.0\""), "0.0.0.0 is no address"},
      {"loopback", vip("@\"127.0.0.1\""), "127.0.0.1 is a loopback address"},
      {"multicast", vip("@\"239.1.2.3\""), "239.1.2.3 is a multicast address"},
      {"broadcast", vip("@\"255.255.255.255\""), "255.255.255.255 is the broadcast address"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  EXPECT_EQ(accept(vip("\"203.0.113.8\"")).rules.vips.at(0).address, address("203.0.113.8"))
      << "a subnet's first address may be a VIP";
  EXPECT_EQ(accept(vip("\"203.0.113.15\"")).rules.vips.at(0).address, address("203.0.113.15"));
}

TEST(Vips, Settings) {
  Vip vip = accept(in_vip(R"("shared": false)")).rules.vips.at(0);
  EXPECT_EQ(vip.ping, Ping::always);
  EXPECT_EQ(vip.unmatched, Unmatched::reject);
  vip = accept(in_vip(R"("ping": false, "unmatched": "drop")")).rules.vips.at(0);
  EXPECT_EQ(vip.ping, Ping::never);
  EXPECT_EQ(accept(in_vip(R"("ping": "healthy")")).rules.vips.at(0).ping, Ping::healthy);
  EXPECT_EQ(vip.unmatched, Unmatched::drop);
}

TEST(Services, Faults) {
  const std::string backends = R"("backends": [{"address": "10.0.0.2"}])";
  const std::vector<FaultCase> cases{
      {"no object", with_services("@80"), "a service must be an object"},
      {"no protocol", with_services(R"(@{"port": 80, )" + backends + "}"), "\"protocol\" is missing: a service needs"},
      {"no port", with_services(R"(@{"protocol": "tcp", )" + backends + "}"), "\"port\" is missing: a service needs"},
      {"no backends", with_services(R"(@{"protocol": "tcp", "port": 80})"), "\"backends\" is missing: a service needs"},
      {"protocol", with_services(R"({"protocol": @"sctp", "port": 80, )" + backends + "}"),
       "\"sctp\" must be \"tcp\" or \"udp\""},
      {"protocol number", with_services(R"({"protocol": @6, "port": 80, )" + backends + "}"),
       "6 must be \"tcp\" or \"udp\""},
      {"protocols empty", with_services(R"({"protocol": @[], "port": 80, )" + backends + "}"), "the list is empty"},
      {"protocols twice", with_services(R"({"protocol": ["tcp", @"tcp"], "port": 80, )" + backends + "}"), "twice"},
      {"name empty", in_service(R"("name": @"")"), "\"name\": \"\" must be 1 to 64 bytes"},
      {"name long", in_service("\"name\": @\"" + std::string(65, 'n') + "\""), "must be 1 to 64 bytes"},
      {"name number", in_service(R"("name": @5)"), "5 must be a string"},
      {"name with newline", in_service(R"("name": @"a\nb")"), "without control characters"},
      {"source", in_service(R"("source": @"client")"), "\"client\" must be \"masquerade\" or \"preserve\""},
      {"idle_timeout", in_service(R"("idle_timeout": @60)"), "60 has no unit"},
      {"unknown", in_service(R"(@"protocoll": "tcp")"), "did you mean \"protocol\"?"},
      {"duplicate", in_service("#\"source\": \"preserve\",\n@\"source\": \"preserve\""), "duplicate key \"source\""},
      {"masquerade no address", in_service(R"("masquerade": @true)"), "true must be an IPv4 address"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Services, Ports) {
  const std::vector<FaultCase> cases{
      {"zero", with_port("@0"), "\"port\": 0 is not a port (1 to 65535)"},
      {"high", with_port("@70000"), "\"port\": 70000 is not a port (1 to 65535)"},
      {"fraction", with_port("@80.5"), "80.5 must be a port"},
      {"boolean", with_port("@true"), "true must be a port"},
      {"quoted", with_port("@\"80\""), "\"80\" must be a number: write it without quotes"},
      {"word", with_port("@\"http\""), "\"http\" must be a port (80), a range"},
      {"range to nowhere", with_port("@\"80-\""), "must be a range of ports"},
      {"range from nowhere", with_port("@\"-80\""), "must be a range of ports"},
      {"range too high", with_port("@\"65000-65536\""), "must be a range of ports"},
      {"range from zero", with_port("@\"0-10\""), "must be a range of ports"},
      {"range with blanks", with_port("@\"80 - 90\""), "must be a range of ports"},
      {"range backwards", with_port("@\"90-80\""), "from the lower to the higher"},
      {"empty list", with_port("@[]"), "the list is empty"},
      {"star in a list", with_port("[80, @\"*\"]"), "stands alone"},
      {"list in a list", with_port("[80, @[81]]"), "a list must be a port"},
      {"twice in a list", with_port("[#80, 81, @80]"), "80 overlaps 80"},
      {"overlap in a list", with_port("[#\"80-90\",\n 100, @\"85-95\"]"), "85-95 overlaps 80-90"},
      {"overlap before", with_port("[#85, @\"80-90\"]"), "80-90 overlaps 85"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);

  const auto ports_of = [](const std::string& port) { return first_service(accept(with_port(port))).ports; };
  EXPECT_THAT(ports_of("1"), ElementsAre(PortRange{1, 1}));
  EXPECT_THAT(ports_of("65535"), ElementsAre(PortRange{65535, 65535}));
  EXPECT_THAT(ports_of("\"8000-8099\""), ElementsAre(PortRange{8000, 8099}));
  EXPECT_THAT(ports_of("\"80-80\""), ElementsAre(PortRange{80, 80}));
  EXPECT_THAT(ports_of(R"([443, "8000-8099", 80, 81])"),
              ElementsAre(PortRange{80, 80}, PortRange{81, 81}, PortRange{443, 443}, PortRange{8000, 8099}));
  EXPECT_THAT(ports_of("\"*\""), ElementsAre(kAllPorts));
  EXPECT_TRUE(first_service(accept(with_port("\"*\""))).wildcard);
  EXPECT_FALSE(first_service(accept(with_port("\"1-65535\""))).wildcard);
}

TEST(Services, Settings) {
  Service service = first_service(accept(in_service(R"("balance": "maglev", "affinity": "none", "helper": "none")")));
  EXPECT_EQ(service.source, SourceMode::masquerade);
  EXPECT_FALSE(service.idle_timeout.has_value());
  EXPECT_FALSE(service.masquerade.has_value());
  EXPECT_THAT(service.protocols, ElementsAre(Protocol::tcp));

  service = first_service(accept(
      in_service(R"("name": "web", "source": "preserve", "idle_timeout": "90m", "masquerade": "203.0.113.14")")));
  EXPECT_EQ(service.name, "web");
  EXPECT_EQ(service.source, SourceMode::preserve);
  EXPECT_EQ(service.idle_timeout, Duration(90min));
  EXPECT_EQ(service.masquerade, address("203.0.113.14"));
}

TEST(Services, DefaultNames) {
  const auto name_of = [](const std::string& protocol, const std::string& port) {
    return first_service(accept(with_services("{\"protocol\": " + protocol + ", \"port\": " + port +
                                              R"(, "backends": [{"address": "10.0.0.2"}]})")))
        .name;
  };
  EXPECT_EQ(name_of("\"tcp\"", "80"), "tcp/203.0.113.10:80");
  EXPECT_EQ(name_of(R"(["udp", "tcp"])", "\"8000-8099\""), "tcp+udp/203.0.113.10:8000-8099");
  EXPECT_EQ(name_of("\"udp\"", "[443, 80]"), "udp/203.0.113.10:80,...");
  EXPECT_EQ(name_of("\"tcp\"", "\"*\""), "tcp/203.0.113.10:*");
}

TEST(Backends, Faults) {
  const std::vector<FaultCase> cases{
      {"no list", with_services(R"({"protocol": "tcp", "port": 80, "backends": @"10.0.0.2"})"),
       "must be a list of backends"},
      {"empty list", with_services(R"({"protocol": "tcp", "port": 80, "backends": @[]})"),
       "\"backends\": the list is empty"},
      {"no object", with_backends("@\"10.0.0.2\""), "a backend must be an object"},
      {"no address", with_backends("@{\"port\": 80}"), "\"address\" is missing: a backend needs"},
      {"bad address", with_backends("{\"address\": @\"10.0.0\"}"), "\"10.0.0\" must be an IPv4 address"},
      {"loopback", with_backends("{\"address\": @\"127.0.0.1\"}"), "127.0.0.1 is a loopback address"},
      {"unspecified", with_backends("{\"address\": @\"0.0.0.0\"}"), "0.0.0.0 is no address"},
      {"multicast", with_backends("{\"address\": @\"224.0.0.1\"}"), "is a multicast address"},
      {"broadcast", with_backends("{\"address\": @\"255.255.255.255\"}"), "is the broadcast address"},
      {"port", in_backend("\"port\": @70000"), "\"port\": 70000 is not a port (1 to 65535)"},
      {"port zero", in_backend("\"port\": @0"), "0 is not a port"},
      {"port text", in_backend("\"port\": @\"80\""), "\"80\" must be a whole number"},
      {"weight negative", in_backend("\"weight\": @-1"), "-1 is out of range (0 to 65535)"},
      {"weight high", in_backend("\"weight\": @65536"), "65536 is out of range"},
      {"backup", in_backend("\"backup\": @1"), "\"backup\": 1 must be true or false"},
      {"name", in_backend("\"name\": @7"), "7 must be a string"},
      {"unknown", in_backend("@\"wieght\": 1"), "did you mean \"weight\"?"},
      {"duplicate", in_backend("#\"weight\": 1, @\"weight\": 2"), "duplicate key \"weight\""},
      {"port for all ports", with_backends("{\"address\": \"10.0.0.2\", \"port\": @80}", "#\"*\""), "leave it out"},
      {"port too high for a range", with_backends("{\"address\": \"10.0.0.2\", \"port\": @65500}", "#\"8000-8099\""),
       "would reach 65599; write at most 65436"},
      {"port too high for one of a list",
       with_backends("{\"address\": \"10.0.0.2\", \"port\": @65535}", "[80, 81, #\"90-91\"]"), "too high for 90-91"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Backends, Settings) {
  Backend backend = first_service(accept(in_backend(R"("backup": false)"))).backends.at(0);
  EXPECT_EQ(backend, (Backend{.name = "10.0.0.2", .address = address("10.0.0.2"), .port = {}, .weight = 1}));
  backend = first_service(accept(in_backend(R"("port": 8080, "weight": 65535)"))).backends.at(0);
  EXPECT_EQ(backend, (Backend{.name = "10.0.0.2:8080", .address = address("10.0.0.2"), .port = 8080, .weight = 65535}));
  backend = first_service(accept(in_backend(R"("name": "a", "weight": 0)"))).backends.at(0);
  EXPECT_EQ(backend, (Backend{.name = "a", .address = address("10.0.0.2"), .port = {}, .weight = 0}))
      << "all weights 0 is allowed";
}

TEST(Backends, PortsThatJustFit) {
  accept(with_backends(R"({"address": "10.0.0.2", "port": 65436})", "\"8000-8099\""));
  accept(with_backends(R"({"address": "10.0.0.2", "port": 65535})", "[80, 81]"));
  accept(with_backends(R"({"address": "10.0.0.2"})", "\"*\""));
}

TEST(Defaults, HoldForEveryServiceThatSaysNothingElse) {
  const Config config = accept(with_services(
      R"({"port": 80}, {"port": 81, "protocol": "udp", "source": "masquerade", "idle_timeout": "5s", "backends": [{"address": "10.0.0.9"}]})",
      R"("defaults": {"protocol": "tcp", "source": "preserve", "idle_timeout": "1h", "masquerade": "203.0.113.14", "balance": "maglev",
         "affinity": "none", "helper": "none", "backends": [{"address": "10.0.0.2", "port": 8080}]},)"));
  const std::vector<Service>& services = config.rules.vips.at(0).services;
  EXPECT_THAT(services.at(0).protocols, ElementsAre(Protocol::tcp));
  EXPECT_EQ(services.at(0).source, SourceMode::preserve);
  EXPECT_EQ(services.at(0).idle_timeout, Duration(1h));
  EXPECT_EQ(services.at(0).masquerade, address("203.0.113.14"));
  EXPECT_EQ(services.at(0).backends.at(0).name, "10.0.0.2:8080");
  EXPECT_THAT(services.at(1).protocols, ElementsAre(Protocol::udp));
  EXPECT_EQ(services.at(1).source, SourceMode::masquerade);
  EXPECT_EQ(services.at(1).idle_timeout, Duration(5s));
  EXPECT_EQ(services.at(1).backends.at(0).address, address("10.0.0.9"));
}

TEST(Defaults, Faults) {
  const std::string two = R"({"port": 80, "protocol": "tcp", "backends": [{"address": "10.0.0.2"}]},
                             {"port": 81, "protocol": "tcp", "backends": [{"address": "10.0.0.2"}]})";
  const std::vector<FaultCase> cases{
      {"no object", with_services(two, R"("defaults": @[],)"), "\"defaults\" must be an object"},
      {"bad value once", with_services(two, R"("defaults": {"source": @"x"},)"),
       "\"x\" must be \"masquerade\" or \"preserve\""},
      {"name", with_services(two, R"("defaults": {"name": @"x"},)"), "\"name\": has no default"},
      {"unknown", with_services(two, R"("defaults": {@"sorce": "preserve"},)"), "did you mean \"source\"?"},
      {"foreign masquerade once", with_services(two, R"("defaults": {"masquerade": @"203.0.113.13"},)"),
       "add it there"},
      {"bad default is not also missing",
       with_services(R"({"port": 80, "backends": [{"address": "10.0.0.2"}]})", R"("defaults": {"protocol": @"x"},)"),
       "must be \"tcp\""},
      {"bad value does not fall back",
       with_services(R"({"protocol": "tcp", "backends": [{"address": "10.0.0.2"}]},
                        {"protocol": "tcp", "port": @0, "backends": [{"address": "10.0.0.2"}]})",
                     R"("defaults": {"port": 80},)"),
       "0 is not a port"},
      {"default port twice",
       with_services("#{\"protocol\": \"tcp\", \"backends\": [{\"address\": \"10.0.0.2\"}]},\n"
                     "@{\"protocol\": \"tcp\", \"backends\": [{\"address\": \"10.0.0.2\"}]}",
                     R"("defaults": {"port": 80},)"),
       "80 (tcp) of VIP 203.0.113.10 overlaps"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  expect_fault({"without vips", R"(@{"tun": {"subnet": "203.0.113.8/29"}, "defaults": {}})", "\"vips\" is missing"});
  EXPECT_EQ(errors_of(R"({"tun": {"subnet": "203.0.113.8/29"}, "defaults": {"source": 1}})").size(), 2U)
      << "read without VIPs too";
}

}  // namespace
}  // namespace vipgate
