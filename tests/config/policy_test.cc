#include "fault_cases.h"

// What a service lets in, and how it treats TCP: allow, deny, limits, helper, mss.
namespace vipgate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Ipv4Prefix net(std::string_view text) {
  return Ipv4Prefix::parse(text).value();
}

/// A service with another protocol or port than those of in_service().
std::string service(const std::string& protocol, const std::string& port, const std::string& members) {
  return with_services("{\"protocol\": " + protocol + ", \"port\": " + port +
                       R"(, "backends": [{"address": "10.0.0.2"}], )" + members + "}");
}

const std::string kUdp = R"({"protocol": "udp", "port": 53, "backends": [{"address": "10.0.0.2"}]})";
const std::string kTcp = R"({"protocol": "tcp", "port": 21, "backends": [{"address": "10.0.0.2"}]})";

TEST(AccessLists, Faults) {
  const std::vector<FaultCase> cases{
      {"allow no list", in_service(R"("allow": @"10.0.0.0/8")"), "\"allow\": \"10.0.0.0/8\" must be a list"},
      {"allow empty", in_service(R"("allow": @[])"), "the list is empty, so nobody could come; leave it out"},
      {"allow no prefix", in_service(R"("allow": ["10.0.0.0/8", @5])"), "5 must be an IPv4 prefix"},
      {"allow host bits", in_service(R"("allow": [@"10.0.0.1/8"])"), "did you mean \"10.0.0.0/8\"?"},
      {"allow twice", in_service("\"allow\": [#\"10.0.0.0/8\", \"10.0.0.0/9\",\n@\"10.0.0.0/8\"]"),
       "\"allow\": 10.0.0.0/8 is in the list twice, first at"},
      {"deny no list", in_service(R"("deny": @{})"), "\"deny\": an object must be a list"},
      {"deny twice", in_service(R"("deny": [#"192.0.2.1", @"192.0.2.1/32"])"), "192.0.2.1/32 is in the list twice"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(AccessLists, Settings) {
  Service service = first_service(accept(in_service(R"("deny": [])")));
  EXPECT_THAT(service.allow, ElementsAre(net("0.0.0.0/0"))) << "all";
  EXPECT_THAT(service.deny, IsEmpty());
  service = first_service(accept(in_service(R"("allow": ["192.0.2.1", "10.0.0.0/8"], "deny": ["10.0.0.0/8"])")));
  EXPECT_THAT(service.allow, ElementsAre(net("192.0.2.1/32"), net("10.0.0.0/8")));
  EXPECT_THAT(service.deny, ElementsAre(net("10.0.0.0/8")));
}

TEST(Limits, Faults) {
  const std::vector<FaultCase> cases{
      {"no object", in_service(R"("limits": @100)"), "\"limits\" must be an object { }, not 100"},
      {"zero", in_service(R"("limits": {"flows": @0})"), "\"flows\": 0 is out of range (1 to 4294967295)"},
      {"too many", in_service(R"("limits": {"new_per_second": @4294967296})"), "is out of range"},
      {"negative", in_service(R"("limits": {"flows_per_client": @-1})"), "is out of range"},
      {"fraction", in_service(R"("limits": {"flows_per_client": @1.5})"), "1.5 must be a whole number"},
      {"unknown", in_service(R"("limits": {@"flow": 5})"), "did you mean \"flows\"?"},
      {"twice", in_service(R"("limits": {#"flows": 5, @"flows": 5})"), "duplicate key \"flows\""},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Limits, Settings) {
  EXPECT_EQ(first_service(accept(in_service(R"("limits": {})"))).limits, Limits{});
  EXPECT_EQ(first_service(accept(in_service(R"("limits": {"flows": 1})"))).limits, (Limits{.flows = 1}));
  EXPECT_EQ(first_service(accept(in_service(R"("limits": {"flows_per_client": 2})"))).limits,
            (Limits{.flows_per_client = 2}));
  EXPECT_EQ(first_service(accept(in_service(R"("limits": {"new_per_second": 4294967295})"))).limits,
            (Limits{.new_per_second = 4294967295}));
}

TEST(Helper, Faults) {
  const std::vector<FaultCase> cases{
      {"unknown", in_service(R"("helper": @"sip")"), "\"helper\": \"sip\" must be \"none\" or \"ftp\""},
      {"without TCP", service("\"udp\"", "21", R"("helper": @"ftp")"),
       "\"helper\": FTP runs over TCP, and the service has none; leave it out, or add \"tcp\""},
      {"on all ports", service("\"tcp\"", "#\"*\"", R"("helper": @"ftp")"), "name the control port, such as 21"},
      {"an unreadable protocol says nothing of it", service("@\"sctp\"", "21", R"("helper": "ftp")"),
       "\"sctp\" must be"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Helper, Settings) {
  EXPECT_EQ(first_service(accept(in_service(R"("helper": "ftp")"))).helper, Helper::ftp);
  EXPECT_EQ(first_service(accept(in_service(R"("helper": "none")"))).helper, Helper::none);
  EXPECT_EQ(first_service(accept(service(R"(["tcp", "udp"])", R"([21, "2100-2109"])", R"("helper": "ftp")"))).helper,
            Helper::ftp);
  EXPECT_EQ(first_service(accept(service("\"udp\"", "21", R"("helper": "none")"))).helper, Helper::none);
  EXPECT_EQ(
      first_service(
          accept(with_services(
              R"({"protocol": "tcp", "port": 21, "helper": "ftp", "backends": [{"address": "10.0.0.2", "port": 2121}]})")))
          .helper,
      Helper::ftp);
}

TEST(Mss, Faults) {
  const std::vector<FaultCase> cases{
      {"small", in_service(R"("mss": @535)"), "\"mss\": 535 is not a segment size (536 to 65495)"},
      {"large", in_service(R"("mss": @65496)"), "\"mss\": 65496 is not a segment size (536 to 65495)"},
      {"word", in_service(R"("mss": @"clamp")"), "must be a whole number"},
      {"without TCP", service("\"udp\"", "53", R"("mss": @1400)"), "\"mss\": is an option of TCP"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  EXPECT_EQ(first_service(accept(in_service(R"("mss": 536)"))).mss, 536);
  EXPECT_EQ(first_service(accept(in_service(R"("mss": 65495)"))).mss, 65495);
  EXPECT_FALSE(first_service(accept(in_service(R"("name": "x")"))).mss.has_value());
}

TEST(PolicyDefaults, HoldWhereTheyFit) {
  const Config config = accept(with_services(
      kTcp + "," + kUdp + R"(, {"protocol": "tcp", "port": "*", "backends": [{"address": "10.0.0.2"}]},
              {"protocol": "tcp", "port": 80, "helper": "none", "mss": 1000, "allow": ["0.0.0.0/0"], "deny": [], "limits": {"flows": 7},
               "backends": [{"address": "10.0.0.2"}]})",
      R"("defaults": {"helper": "ftp", "mss": 1400, "allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"], "limits": {"flows": 5, "new_per_second": 6}},)"));
  const std::vector<Service>& services = config.rules.vips.at(0).services;
  EXPECT_EQ(services.at(0).helper, Helper::ftp);
  EXPECT_EQ(services.at(0).mss, 1400);
  EXPECT_EQ(services.at(1).helper, Helper::none) << "UDP has no use for it";
  EXPECT_FALSE(services.at(1).mss.has_value());
  EXPECT_EQ(services.at(2).helper, Helper::none) << "not every port";
  EXPECT_EQ(services.at(2).mss, 1400);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_THAT(services.at(i).allow, ElementsAre(net("10.0.0.0/8")));
    EXPECT_THAT(services.at(i).deny, ElementsAre(net("10.1.0.0/16")));
    EXPECT_EQ(services.at(i).limits, (Limits{.flows = 5, .new_per_second = 6}));
  }
  EXPECT_EQ(services.at(3).helper, Helper::none);
  EXPECT_EQ(services.at(3).mss, 1000);
  EXPECT_THAT(services.at(3).allow, ElementsAre(net("0.0.0.0/0")));
  EXPECT_THAT(services.at(3).deny, IsEmpty());
  EXPECT_EQ(services.at(3).limits, Limits{.flows = 7}) << "as a whole";
}

TEST(PolicyDefaults, Faults) {
  const std::vector<FaultCase> cases{
      {"bad value once", with_services(kTcp + "," + kUdp, R"("defaults": {"mss": @1},)"), "1 is not a segment size"},
      {"empty allow once", with_services(kTcp + "," + kUdp, R"("defaults": {"allow": @[]},)"), "the list is empty"},
      {"own, where the default has no TCP",
       with_services(R"({"port": 53, "helper": @"ftp", "backends": [{"address": "10.0.0.2"}]})",
                     R"("defaults": {"protocol": "udp"},)"),
       "FTP runs over TCP"},
      {"own, where the default is all ports",
       with_services(R"(#{"protocol": "tcp", "helper": @"ftp", "backends": [{"address": "10.0.0.2"}]})",
                     R"("defaults": {"port": "*"},)"),
       "name the control port"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(AllocatedPorts, AreNoServicesWithAHelper) {
  const std::string ftp = R"({"protocol": "tcp", "port": 21, "helper": #"ftp", "backends": [{"address": "10.0.0.2"}]})";
  const auto beside = [&](const std::string& port, const std::string& protocol = "tcp") {
    return with_services(ftp + ",\n{\"protocol\": \"" + protocol + "\", \"port\": " + port +
                         R"(, "backends": [{"address": "10.0.0.2"}]})");
  };
  const std::vector<FaultCase> cases{
      {"first", beside("@32768"), "\"port\": 32768 of VIP 203.0.113.10: it gives out 32768-65535 itself, to the data"},
      {"last", beside("@65535"), "serve on lower ports, or on another VIP"},
      {"reaches in", beside("@\"32000-32768\""), "32000-32768 of VIP"},
      {"around", beside("@\"22-65535\""), "22-65535 of VIP"},
      {"one of a list", beside("[80, @40000]"), "40000 of VIP"},
      {"of UDP", beside("@40000", "udp"), "40000 of VIP"},
      {"its own",
       with_services(R"({"protocol": "tcp", "port": @40021, "helper": #"ftp", "backends": [{"address": "10.0.0.2"}]})"),
       "40021 of VIP"},
      {"by default",
       with_services(R"({"protocol": "tcp", "port": 21, "backends": [{"address": "10.0.0.2"}]},
                                      {"protocol": "udp", "port": @50000, "backends": [{"address": "10.0.0.2"}]})",
                     R"("defaults": {"helper": #"ftp"},)"),
       "50000 of VIP"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  accept(take_marks(beside("32767")).text);
  accept(take_marks(beside("\"*\"")).text);
  accept(in_service(R"("helper": "none")"));
  accept(with_port("40000"));
  accept(with_vips(
      R"({"address": "203.0.113.10", "services": [{"protocol": "tcp", "port": 21, "helper": "ftp", "backends": [{"address": "10.0.0.2"}]}]},
         {"address": "203.0.113.11", "services": [{"protocol": "tcp", "port": 40000, "backends": [{"address": "10.0.0.2"}]}]})"));
}

}  // namespace
}  // namespace vipgate
