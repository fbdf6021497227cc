#include "fault_cases.h"

namespace vipgate {
namespace {

std::string service(const std::string& protocol, const std::string& port, const std::string& members = "") {
  return "{\"protocol\": " + protocol + ", \"port\": " + port + R"(, "backends": [{"address": "10.0.0.2"}])" + members +
         "}";
}
std::string tcp(const std::string& port, const std::string& members = "") {
  return service("\"tcp\"", port, members);
}
std::string udp(const std::string& port, const std::string& members = "") {
  return service("\"udp\"", port, members);
}
std::string vip(const std::string& address, const std::string& services = tcp("80")) {
  return "{\"address\": " + address + ", \"services\": [" + services + "]}";
}

TEST(ServiceConflicts, Fault3_Ports) {
  const std::string both = R"(["tcp", "udp"])";
  const std::vector<FaultCase> cases{
      {"same port", with_services(tcp("#80") + ",\n" + tcp("@80")),
       "80 (tcp) of VIP 203.0.113.10 overlaps the service at"},
      {"port in a range", with_services(tcp("#\"70-90\"") + ",\n" + tcp("@80")), "80 (tcp)"},
      {"range around a port", with_services(tcp("#80") + ",\n" + tcp("@\"70-90\"")), "70-90 (tcp)"},
      {"ranges that touch", with_services(tcp("#\"70-80\"") + ",\n" + tcp("@\"80-90\"")), "80-90 (tcp)"},
      {"one of a list", with_services(tcp("[1, #80, 3]") + ",\n" + tcp("[@80, 2]")), "80 (tcp)"},
      {"not beside its neighbour", with_services(tcp("#\"1-100\"") + "," + tcp("200") + ",\n" + tcp("[300, @90]")),
       "90 (tcp)"},
      {"udp", with_services(udp("#53") + ",\n" + udp("@53")), "53 (udp)"},
      {"one of two protocols", with_services(service(both, "#53") + ",\n" + udp("@53")), "53 (udp)"},
      {"both protocols, said once", with_services(service(both, "#53") + ",\n" + service(both, "@53")),
       "53 (tcp and udp)"},
      {"two wildcards", with_services(tcp("#\"*\"") + ",\n" + tcp("@\"*\"")), "\"*\" (tcp)"},
      {"all ports explicitly", with_services(tcp("#\"1-65535\"") + ",\n" + tcp("@80") + ",\n" + tcp("\"*\"")),
       "80 (tcp)"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  // Each of three is compared with the one that reaches farthest, not with its neighbour alone.
  EXPECT_EQ(errors_of(with_services(tcp("\"1-100\"") + "," + tcp("\"10-20\"") + "," + tcp("\"50-60\""))).size(), 2U);

  accept(with_services(tcp("80") + "," + udp("80") + "," + tcp("\"81-90\"") + "," + tcp("79")));
  accept(with_services(tcp("\"*\"") + "," + udp("\"*\"") + "," + tcp("80")));
  accept(with_vips(vip("\"203.0.113.10\"") + "," + vip("\"203.0.113.11\"")));
}

TEST(ServiceConflicts, Names) {
  const std::vector<FaultCase> cases{
      {"in one VIP", with_services(tcp("80", R"(, "name": #"web")") + ",\n" + tcp("81", R"(, "name": @"web")")),
       "\"web\" is the name of another service at"},
      {"in two VIPs",
       with_vips(vip("\"203.0.113.10\"", tcp("80", R"(, "name": #"web")")) + ",\n" +
                 vip("\"203.0.113.11\"", tcp("80", R"(, "name": @"web")"))),
       "\"web\" is the name of another service at"},
      {"like a default name", with_services("#" + tcp("80") + ",\n" + tcp("81", R"(, "name": @"tcp/203.0.113.10:80")")),
       "is the name of another service at"},
      {"of backends",
       with_backends("{\"name\": #\"a\", \"address\": \"10.0.0.2\"},\n{\"name\": @\"a\", \"address\": \"10.0.0.3\"}"),
       "\"a\" is the name of another backend of this service at"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  const std::string named = R"({"protocol": "tcp", "port": 8%, "backends": [{"name": "a", "address": "10.0.0.2"}]})";
  std::string first = named;
  std::string second = named;
  accept(with_services(first.replace(first.find('%'), 1, "0") + "," + second.replace(second.find('%'), 1, "1")));
}

TEST(BackendConflicts, Endpoints) {
  const std::vector<FaultCase> cases{
      {"same address", with_backends("{\"address\": #\"10.0.0.2\"},\n{\"address\": @\"10.0.0.2\"}"),
       "backend 10.0.0.2:80 is in this service already"},
      {"same port",
       with_backends("{\"address\": #\"10.0.0.2\", \"port\": 8080},\n{\"name\": \"b\", \"address\": @\"10.0.0.2\", "
                     "\"port\": 8080}"),
       "backend 10.0.0.2:8080 is in this service already"},
      {"the service's port", with_backends("{\"address\": #\"10.0.0.2\"},\n{\"address\": @\"10.0.0.2\", \"port\": 80}"),
       "backend 10.0.0.2:80 is in this service already"},
      {"all ports", with_backends("{\"address\": #\"10.0.0.2\"},\n{\"address\": @\"10.0.0.2\"}", "\"*\""),
       "backend 10.0.0.2 is in this service already"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  accept(with_backends(
      R"({"address": "10.0.0.2", "port": 8080}, {"address": "10.0.0.2", "port": 8081}, {"address": "10.0.0.3", "port": 8080})"));
  accept(with_backends(R"({"address": "10.0.0.2"}, {"address": "10.0.0.2", "port": 8081})"));
}

TEST(AddressConflicts, Fault3_UsedTwice) {
  const auto masquerade = [](const std::string& addresses) { return "\"masquerade\": [" + addresses + "],"; };
  const std::vector<FaultCase> cases{
      {"two VIPs", with_vips(vip("#\"203.0.113.10\"") + ",\n" + vip("@\"203.0.113.10\"", tcp("81"))),
       "203.0.113.10 is a VIP already at"},
      {"two masquerade addresses", with_vips(vip("\"203.0.113.10\""), masquerade("#\"10.9.9.9\", @\"10.9.9.9\"")),
       "10.9.9.9 is a masquerade address already at"},
      {"VIP and masquerade", with_vips(vip("@\"203.0.113.10\""), masquerade("#\"203.0.113.10\"")),
       "203.0.113.10 is a VIP here and a masquerade address at"},
      {"VIP and masquerade object", with_vips(vip("@\"203.0.113.10\""), masquerade("#{\"address\": \"203.0.113.10\"}")),
       "203.0.113.10 is a VIP here and a masquerade address at"},
      {"VIP and backend",
       with_vips(
           vip("#\"203.0.113.10\"", R"({"protocol": "tcp", "port": 80, "backends": [{"address": @"203.0.113.10"}]})")),
       "203.0.113.10 is a backend here and a VIP at"},
      {"backend and a later VIP",
       with_vips(
           vip("\"203.0.113.10\"", R"({"protocol": "tcp", "port": 80, "backends": [{"address": #"203.0.113.11"}]})") +
           ",\n" + vip("@\"203.0.113.11\"")),
       "203.0.113.11 is a VIP here and a backend at"},
      {"masquerade and backend",
       with_vips(
           vip("\"203.0.113.10\"", R"({"protocol": "tcp", "port": 80, "backends": [{"address": @"10.0.0.250"}]})"),
           masquerade("#\"10.0.0.250\"")),
       "10.0.0.250 is a backend here and a masquerade address at"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  accept(with_services(tcp("80") + "," + tcp("81")));  // one backend may serve many services
}

TEST(AddressConflicts, Subnets) {
  const auto file = [](const std::string& subnets, const std::string& address, const std::string& backend) {
    return "{\"tun\": {\"subnet\": " + subnets + "},\n\"vips\": [" +
           vip(address, "{\"protocol\": \"tcp\", \"port\": 80, \"backends\": [{\"address\": " + backend + "}]}") + "]}";
  };
  const std::string vips = "\"203.0.113.10\"";
  const std::string host = "\"10.0.0.2\"";
  const std::vector<FaultCase> cases{
      {"VIP outside", file("#\"203.0.113.8/29\"", "@\"203.0.113.16\"", host),
       "203.0.113.16 lies in no subnet of the tun"},
      {"VIP below", file("#\"203.0.113.8/29\"", "@\"203.0.113.7\"", host), "lies in no subnet of the tun"},
      {"VIP between", file("[#\"203.0.113.0/30\", \"203.0.113.8/30\"]", "@\"203.0.113.5\"", host),
       "or \"203.0.113.5/32\""},
      {"backend inside", file("#\"203.0.113.8/29\"", vips, "@\"203.0.113.12\""),
       "backend 203.0.113.12 lies in the tun's subnet 203.0.113.8/29"},
      {"backend inside the second", file("[\"203.0.113.8/29\", #\"10.0.0.0/8\"]", vips, "@\"10.0.0.2\""),
       "lies in the tun's subnet 10.0.0.0/8"},
      {"backend like the default masquerade address", file("#\"203.0.113.8/29\"", vips, "@\"203.0.113.14\""),
       "lies in the tun's subnet"},
      {"equal", file("[#\"203.0.113.8/29\",\n@\"203.0.113.8/29\"]", vips, host),
       "203.0.113.8/29 overlaps 203.0.113.8/29"},
      {"inner later", file("[#\"203.0.113.0/24\",\n@\"203.0.113.8/29\"]", vips, host),
       "203.0.113.8/29 overlaps 203.0.113.0/24"},
      {"outer later", file("[#\"203.0.113.8/29\",\n@\"203.0.113.0/24\"]", vips, host),
       "203.0.113.0/24 overlaps 203.0.113.8/29"},
      {"not beside its neighbour", file("[#\"203.0.113.0/24\",\n\"204.0.0.0/8\", @\"203.0.113.200/32\"]", vips, host),
       "203.0.113.200/32 overlaps 203.0.113.0/24"},
      {"an unreadable subnet says nothing of VIPs", file("[\"198.51.100.0/24\", @\"203.0.113.8\\\\29\"]", vips, host),
       "must be an IPv4 prefix"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  // Both inner ones overlap the outer one, though not each other.
  EXPECT_EQ(errors_of(file(R"(["203.0.113.0/24", "203.0.113.8/29", "203.0.113.200/32"])", vips, host)).size(), 2U);
  accept(file(R"(["203.0.113.0/30", "203.0.113.4/30", "203.0.113.8/30"])", vips, host));
}

}  // namespace
}  // namespace vipgate
