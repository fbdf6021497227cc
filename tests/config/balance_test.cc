#include "fault_cases.h"

// How flows are shared out among backends: balance, affinity, backup, weight, on_backend_down.
namespace vipgate {
namespace {

const std::string kUdp = R"({"protocol": "udp", "port": 53, "backends": [{"address": "10.0.0.2"}])";

TEST(Balance, Faults) {
  const std::vector<FaultCase> cases{
      {"unknown", in_service(R"("balance": @"random")"),
       R"("balance": "random" must be "maglev" or "round_robin" or "least_connections")"},
      {"no word", in_service(R"("balance": @true)"), "true must be"},
      {"affinity unknown", in_service(R"("affinity": @"source")"), R"("source" must be "none" or "client")"},
      {"affinity in turn", in_service("\"balance\": #\"round_robin\",\n\"affinity\": @\"client\""),
       "only \"maglev\" can keep a client at one backend"},
      {"affinity by load", in_service("\"affinity\": @\"client\",\n\"balance\": #\"least_connections\""),
       "leave one of the two out"},
      {"on_backend_down unknown", in_service(R"("on_backend_down": @"move")"), R"("move" must be "keep" or "reset")"},
      {"on_backend_down without TCP", with_services(kUdp + R"(, "on_backend_down": @"reset"})"),
       "\"on_backend_down\": is about TCP connections, and the service has none; leave it out, or add \"tcp\""},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Balance, Settings) {
  Service service = first_service(accept(in_service(R"("name": "web")")));
  EXPECT_EQ(service.balance, Balance::maglev);
  EXPECT_EQ(service.affinity, Affinity::none);
  EXPECT_EQ(service.on_backend_down, OnBackendDown::keep);
  service =
      first_service(accept(in_service(R"("balance": "maglev", "affinity": "client", "on_backend_down": "reset")")));
  EXPECT_EQ(service.balance, Balance::maglev);
  EXPECT_EQ(service.affinity, Affinity::client);
  EXPECT_EQ(service.on_backend_down, OnBackendDown::reset);
  service =
      first_service(accept(in_service(R"("balance": "round_robin", "affinity": "none", "on_backend_down": "keep")")));
  EXPECT_EQ(service.balance, Balance::round_robin);
  EXPECT_EQ(service.affinity, Affinity::none);
  EXPECT_EQ(service.on_backend_down, OnBackendDown::keep);
  EXPECT_EQ(first_service(accept(in_service(R"("balance": "least_connections")"))).balance, Balance::least_connections);
}

TEST(Balance, DefaultsYieldToWhatDoesNotGoWithThem) {
  const std::string plain = R"({"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]},)";
  Config config = accept(with_services(
      plain + R"({"protocol": "tcp", "port": 81, "balance": "round_robin", "backends": [{"address": "10.0.0.2"}]},)" +
          kUdp + "}",
      R"("defaults": {"affinity": "client", "on_backend_down": "reset"},)"));
  const std::vector<Service>& sticky = config.rules.vips.at(0).services;
  EXPECT_EQ(sticky.at(0).affinity, Affinity::client);
  EXPECT_EQ(sticky.at(0).on_backend_down, OnBackendDown::reset);
  EXPECT_EQ(sticky.at(1).affinity, Affinity::none);
  EXPECT_EQ(sticky.at(1).balance, Balance::round_robin);
  EXPECT_EQ(sticky.at(2).affinity, Affinity::client);
  EXPECT_EQ(sticky.at(2).on_backend_down, OnBackendDown::keep) << "UDP has no use for it";

  config = accept(with_services(
      plain + R"({"protocol": "tcp", "port": 81, "affinity": "client", "backends": [{"address": "10.0.0.2"}]})",
      R"("defaults": {"balance": "least_connections"},)"));
  const std::vector<Service>& by_load = config.rules.vips.at(0).services;
  EXPECT_EQ(by_load.at(0).balance, Balance::least_connections);
  EXPECT_EQ(by_load.at(1).balance, Balance::maglev);
  EXPECT_EQ(by_load.at(1).affinity, Affinity::client);

  expect_fault(
      {"both defaults, said once",
       with_services(plain + kUdp + "}", "\"defaults\": {\"balance\": #\"round_robin\",\n\"affinity\": @\"client\"},"),
       "only \"maglev\" can keep a client at one backend"});
}

TEST(Backup, NeedsSomebodyToStandInFor) {
  const std::string all = R"({"address": @"10.0.0.2", "backup": true}, {"address": "10.0.0.3", "backup": true})";
  expect_fault({"all", with_backends(all), "\"backup\": every backend of the service is one"});
  expect_fault({"the only one", with_backends(R"({"address": @"10.0.0.2", "backup": true})"), "leave \"backup\" out"});
  const Service service = first_service(
      accept(with_backends(R"({"address": "10.0.0.2", "weight": 0}, {"address": "10.0.0.3", "backup": true})")));
  EXPECT_FALSE(service.backends.at(0).backup);
  EXPECT_EQ(service.backends.at(0).weight, 0U);
  EXPECT_TRUE(service.backends.at(1).backup);
  EXPECT_FALSE(service.backends.at(1).down);
  EXPECT_FALSE(service.backends.at(1).drained);
}

}  // namespace
}  // namespace vipgate
