#include "control/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/fake_gateway.h"

namespace vipgate::control {
namespace {

using testing::HasSubstr;

class ApiTest : public testing::Test {
 protected:
  nlohmann::json ask(const std::string& method, const std::string& target, const std::string& body = "") {
    int answers = 0;
    answer({method, target, body}, access_, gateway_, [&](const Response& response) {
      ++answers;
      response_ = response;
    });
    EXPECT_EQ(answers, 1);
    return nlohmann::json::parse(response_.body, nullptr, /*allow_exceptions=*/false);
  }

  Access access_ = Access::change;
  test::FakeGateway gateway_;
  Response response_;
};

TEST_F(ApiTest, StatusTellsServicesAndSumsCounters) {
  const auto status = ask("GET", "/v1/status?x=y");
  EXPECT_EQ(response_.status, 200);
  EXPECT_EQ(status["generation"], 3);
  EXPECT_EQ(status["flows"]["now"], 4);
  EXPECT_EQ(status["flows"]["max"], 1024);
  EXPECT_EQ(status["counters"]["packets_read"], 42);
  EXPECT_EQ(status["counters"]["reasons"], nlohmann::json({{"no_service", 10}}));
  EXPECT_EQ(status["workers"][0]["stuck"], false);
  EXPECT_EQ(status["workers"][1]["stuck"], true);
  const auto& service = status["vips"][0]["services"][0];
  EXPECT_EQ(status["vips"][0]["address"], "203.0.113.10");
  EXPECT_EQ(service["protocol"], nlohmann::json({"tcp", "udp"}));
  EXPECT_EQ(service["port"], nlohmann::json({"80", "8000-8099"}));
  EXPECT_EQ(status["vips"][0]["served"], true);
  EXPECT_EQ(service["backends"][0]["state"], "up");
  EXPECT_EQ(service["backends"][0]["flows"], 0);
  EXPECT_EQ(service["backends"][0]["health"], nlohmann::json({{"state", "down"},
                                                              {"since_seconds", 12.0},
                                                              {"result", "connection refused"},
                                                              {"latency_seconds", 0.002},
                                                              {"checks", 9},
                                                              {"failures", 3}}));
  EXPECT_EQ(service["backends"][0]["port"], 8080);
  EXPECT_EQ(service["backends"][0]["name"], "a\xEF\xBF\xBD");  // U+FFFD
}

TEST_F(ApiTest, CaptureAsksForWhatIsWanted) {
  ask("POST",
      "/v1/capture?address=198.51.100.0/24&port=53&protocol=udp&service=dns&backend=a%2Fb&verdict=drop"
      "&reason=udp_checksum&packets=7&seconds=2.5&snaplen=96");
  EXPECT_EQ(response_.status, 200);
  EXPECT_EQ(response_.content_type, "application/x-pcapng");
  const CaptureQuery& query = gateway_.capture_;
  EXPECT_EQ(query.filter.to_string(),
            "address 198.51.100.0/24, port 53, protocol udp, service dns, backend a/b, verdict drop, "
            "reason udp_checksum");
  EXPECT_EQ(query.packets, 7U);
  EXPECT_EQ(query.duration, std::chrono::milliseconds(2500));
  EXPECT_EQ(query.snaplen, 96U);
  ask("POST", "/v1/capture?format=text");
  EXPECT_EQ(gateway_.capture_.format, CaptureFormat::text);
  EXPECT_EQ(gateway_.capture_.snaplen, kMaxPacketSize);
  gateway_.capture_result_ = absl::UnavailableError("4 captures run already");
  EXPECT_EQ(ask("POST", "/v1/capture")["error"], "4 captures run already");
  EXPECT_EQ(response_.status, 503);
}

TEST_F(ApiTest, CaptureOfWhatDoesNotExistIsRefused) {
  for (const char* wrong : {"verdict=lost", "reason=tcp", "packets=0", "seconds=-1", "seconds=nan", "snaplen=39",
                            "format=pcap", "port=70000", "service=", "x=1"}) {
    EXPECT_THAT(ask("POST", std::string("/v1/capture?") + wrong)["error"], HasSubstr(wrong));
    EXPECT_EQ(response_.status, 400);
  }
  EXPECT_THAT(ask("POST", "/v1/capture?format=text&snaplen=96")["error"], HasSubstr("format=pcapng"));
}

TEST_F(ApiTest, ReloadTellsWhatChanged) {
  EXPECT_EQ(ask("POST", "/v1/reload")["changes"], nlohmann::json({"web: port changed"}));
  EXPECT_EQ(response_.status, 200);
  EXPECT_EQ(gateway_.reloads_, 1);
}

TEST_F(ApiTest, Fault2_ARefusedReloadIsAConflictWithItsReasons) {
  gateway_.reload_result_ = {false, {"f:1:2: \"port\" is missing"}};
  const auto answer = ask("POST", "/v1/reload");
  EXPECT_EQ(response_.status, 409);
  EXPECT_EQ(answer["details"], nlohmann::json({"f:1:2: \"port\" is missing"}));
  EXPECT_THAT(answer["error"], HasSubstr("the running configuration stays"));
}

TEST_F(ApiTest, DrainAndUndrain) {
  EXPECT_EQ(ask("POST", "/v1/drain", R"({"backend": "10.0.0.3"})")["backends"], nlohmann::json({"web/a"}));
  EXPECT_EQ(ask("POST", "/v1/undrain", R"({"backend": "web/a"})")["backends"], nlohmann::json({"web/a"}));
  EXPECT_THAT(gateway_.changes_, testing::ElementsAre("-10.0.0.3", "+web/a"));
}

TEST_F(ApiTest, DrainWantsABackend) {
  for (const char* body :
       {"", "{", "[]", "\"10.0.0.3\"", "{}", R"({"backend": 5})", R"({"backend": "a", "wait": 1})"}) {
    EXPECT_THAT(ask("POST", "/v1/drain", body)["error"], HasSubstr("the body must be")) << body;
    EXPECT_EQ(response_.status, 400) << body;
  }
  EXPECT_TRUE(gateway_.changes_.empty());
}

TEST_F(ApiTest, ErrorsHaveTheirStatus) {
  const std::pair<absl::Status, int> cases[] = {{absl::NotFoundError("which?"), 404},
                                                {absl::FailedPreconditionError("first that"), 409},
                                                {absl::UnavailableError("a worker does not answer"), 503},
                                                {absl::InternalError("disk full"), 500}};
  for (const auto& [status, code] : cases) {
    gateway_.change_result_ = status;
    EXPECT_EQ(ask("POST", "/v1/drain", R"({"backend": "a"})")["error"], std::string(status.message()));
    EXPECT_EQ(response_.status, code);
  }
}

TEST_F(ApiTest, StandbyAndActivate) {
  EXPECT_EQ(ask("POST", "/v1/standby"), nlohmann::json({{"standby", true}}));
  EXPECT_EQ(ask("GET", "/v1/status")["standby"], true);
  EXPECT_EQ(ask("POST", "/v1/activate"), nlohmann::json({{"standby", false}}));
  EXPECT_EQ(ask("GET", "/v1/status")["standby"], false);
  gateway_.standby_result_ = absl::FailedPreconditionError("ask another");
  EXPECT_EQ(ask("POST", "/v1/standby"), nlohmann::json({{"error", "ask another"}}));
  EXPECT_EQ(response_.status, 409);
  EXPECT_EQ(ask("GET", "/v1/status")["standby"], false);
}

TEST_F(ApiTest, WhoMayOnlyLookChangesNothing) {
  access_ = Access::read;
  for (const char* path :
       {"/v1/reload", "/v1/drain", "/v1/undrain", "/v1/weight", "/v1/flows/end", "/v1/standby", "/v1/activate"}) {
    EXPECT_THAT(ask("POST", path, R"({"backend": "10.0.0.3"})")["error"], HasSubstr("one can only look")) << path;
    EXPECT_EQ(response_.status, 403);
  }
  EXPECT_EQ(gateway_.reloads_, 0);
  EXPECT_TRUE(gateway_.changes_.empty());
  EXPECT_EQ(ask("GET", "/v1/status")["standby"], false);
  EXPECT_EQ(response_.status, 200);
}

TEST_F(ApiTest, HeadIsAnsweredAsGet) {
  EXPECT_EQ(ask("HEAD", "/v1/status")["generation"], 3);
  EXPECT_EQ(response_.status, 200);
  ask("HEAD", "/v1/reload");
  EXPECT_EQ(response_.status, 405);
}

TEST_F(ApiTest, MetricsAreText) {
  ask("GET", "/metrics");
  EXPECT_EQ(response_.status, 200);
  EXPECT_THAT(response_.content_type, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(response_.body, HasSubstr("\nvipgate_flows 4\n"));
}

TEST_F(ApiTest, FlowsAreAskedForByTheirParameters) {
  FoundFlow found;
  found.flow.protocol = Protocol::udp;
  found.flow.state = "answered";
  found.flow.source = *Endpoint::parse("198.51.100.7:5353");
  found.service = "dns";
  gateway_.flows_result_ = FlowPage{{found}, FlowPosition{1, 77}};
  const auto page = ask("GET",
                        "/v1/flows?address=198.51.100.0/24&port=53&protocol=udp&service=dns&backend=a%2Fb"
                        "&state=answered&limit=50&from=0.9");
  EXPECT_EQ(response_.status, 200);
  EXPECT_EQ(page["next"], "1.77");
  EXPECT_EQ(page["flows"][0]["source"], "198.51.100.7:5353");
  EXPECT_EQ(page["flows"][0]["service"], "dns");
  EXPECT_EQ(page["flows"][0]["backend"], nullptr);
  const FlowQuery& query = gateway_.query_;
  EXPECT_EQ(query.filter.address, Ipv4Prefix::parse("198.51.100.0/24"));
  EXPECT_EQ(query.filter.port, 53);
  EXPECT_EQ(query.filter.protocol, Protocol::udp);
  EXPECT_EQ(query.filter.backend, "a/b");
  EXPECT_EQ(query.limit, 50U);
  EXPECT_EQ(query.from.at, 9U);
}

TEST_F(ApiTest, WrongParametersOfFlowsAreNamed) {
  for (const char* wrong : {"address=10.0.0.1/8", "port=x", "port=65536", "protocol=sctp", "limit=0", "limit=10001",
                            "from=1", "service=", "colour=red"}) {
    EXPECT_THAT(ask("GET", std::string("/v1/flows?") + wrong)["error"], HasSubstr(wrong));
    EXPECT_EQ(response_.status, 400) << wrong;
  }
  ask("GET", "/v1/flows?port=1&port=2");
  EXPECT_EQ(response_.status, 400);
  gateway_.flows_result_ = absl::UnavailableError("worker 1 does not answer");
  EXPECT_EQ(ask("GET", "/v1/flows")["error"], "worker 1 does not answer");
  EXPECT_EQ(response_.status, 503);
}

TEST_F(ApiTest, PacketsAreExplainedInWordsOrBytes) {
  Explanation explanation;
  explanation.steps = {{"packet", "as it is"}, {"verdict", "drop, no_service"}};
  explanation.verdict = {.action = Action::drop, .reason = Reason::no_service};
  gateway_.explanation_result_ = explanation;
  const auto body = ask("GET", "/v1/explain?packet=tcp+198.51.100.7:40000+%3E+203.0.113.10:81");
  EXPECT_EQ(body["reason"], "no_service");
  EXPECT_EQ(body["steps"][1]["step"], "verdict");
  EXPECT_EQ(gateway_.packet_.size(), 40U);
  ask("GET", "/v1/explain?bytes=45000014");
  EXPECT_EQ(gateway_.packet_, (std::vector<std::uint8_t>{0x45, 0, 0, 0x14}));
  for (const char* wrong : {"packet=tcp", "", "bytes=450", "bytes=4x"}) {
    ask("GET", std::string("/v1/explain?") + wrong);
    EXPECT_EQ(response_.status, 400) << wrong;
  }
}

TEST_F(ApiTest, ThePageIsWhole) {
  access_ = Access::read;
  ask("GET", "/");
  EXPECT_EQ(response_.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(response_.body, testing::StartsWith("<!doctype html>"));
  EXPECT_THAT(response_.body, testing::EndsWith("</html>\n"));
}

TEST_F(ApiTest, ServicesAndBackendsAreThoseOfTheStatus) {
  const auto vip = ask("GET", "/v1/status")["vips"][0];
  auto service = ask("GET", "/v1/services")["services"][0];
  EXPECT_EQ(response_.status, 200);
  EXPECT_EQ(service["vip"], "203.0.113.10");
  service.erase("vip");
  EXPECT_EQ(service, vip["services"][0]);
  auto backend = ask("GET", "/v1/backends")["backends"][0];
  EXPECT_EQ(backend["vip"], "203.0.113.10");
  EXPECT_EQ(backend["service"], "web");
  backend.erase("vip");
  backend.erase("service");
  EXPECT_EQ(backend, vip["services"][0]["backends"][0]);
}

TEST_F(ApiTest, DropsAreEveryReasonWithTheMostFrequentFirst) {
  const auto answer = ask("GET", "/v1/drops");
  EXPECT_EQ(answer["drops"].size(), kReasonCount - 1);
  EXPECT_EQ(
      answer["drops"][0],
      nlohmann::json({{"reason", "no_service"}, {"count", 10}, {"description", "no service on this port of the VIP"}}));
  EXPECT_EQ(answer["drops"][1]["count"], 0);
  EXPECT_EQ(answer["lost_between_workers"], 0);
}

TEST_F(ApiTest, AWeightIsSetAndTakenBack) {
  const auto set = ask("POST", "/v1/weight", R"({"backend": "web/a", "weight": 0})");
  EXPECT_EQ(set, nlohmann::json({{"backends", {"web/a"}}, {"weight", 0}}));
  const auto reset = ask("POST", "/v1/weight", R"({"weight": null, "backend": "10.0.0.3"})");
  EXPECT_EQ(reset, nlohmann::json({{"backends", {"web/a"}}, {"weight", nullptr}}));
  EXPECT_THAT(gateway_.changes_, testing::ElementsAre("0*web/a", "1*10.0.0.3"));
  for (const char* wrong : {"", "[]", "5", R"({"backend": "a"})", R"({"weight": 5})", R"({"backend": 5, "weight": 5})",
                            R"({"backend": "a", "weight": -1})", R"({"backend": "a", "weight": 65536})",
                            R"({"backend": "a", "weight": "5"})", R"({"backend": "a", "weight": 1.5})",
                            R"({"backend": "a", "weight": 1, "x": 1})"}) {
    EXPECT_THAT(ask("POST", "/v1/weight", wrong)["error"], HasSubstr("the body must be")) << wrong;
    EXPECT_EQ(response_.status, 400) << wrong;
  }
  EXPECT_EQ(gateway_.changes_.size(), 2U);
}

TEST_F(ApiTest, FlowsAreEndedByTheSameFilters) {
  const auto answer =
      ask("POST", "/v1/flows/end", R"({"address": "198.51.100.0/24", "port": 80, "state": "syn_sent"})");
  EXPECT_EQ(answer, nlohmann::json({{"ended", 7}, {"next", nullptr}}));
  EXPECT_EQ(gateway_.query_.filter.address, Ipv4Prefix::parse("198.51.100.0/24"));
  EXPECT_EQ(gateway_.query_.filter.port, 80);
  EXPECT_EQ(gateway_.query_.filter.state, "syn_sent");
  gateway_.ended_result_->next = FlowPosition{1, 5};
  EXPECT_EQ(ask("POST", "/v1/flows/end", R"({"all": true, "from": "0.7"})")["next"], "1.5");
  EXPECT_EQ(gateway_.query_.filter, FlowFilter());
  EXPECT_EQ(gateway_.query_.from.at, 7U);
  gateway_.ended_result_ = absl::UnavailableError("worker 1 does not answer");
  EXPECT_EQ(ask("POST", "/v1/flows/end", R"({"port": "80"})")["error"], "worker 1 does not answer");
  EXPECT_EQ(response_.status, 503);
}

TEST_F(ApiTest, NothingEndsWithoutAFilter) {
  gateway_.query_.filter.port = 1;
  for (const char* wrong : {"", "{", "[]", "{}", R"({"all": false})", R"({"all": true, "port": 80})",
                            R"({"all": "true"})", R"({"from": "0.0"})", R"({"port": 80.5})", R"({"port": null})",
                            R"({"limit": "5", "all": true})", R"({"colour": "red"})", R"({"service": ""})"}) {
    ask("POST", "/v1/flows/end", wrong);
    EXPECT_EQ(response_.status, 400) << wrong;
  }
  EXPECT_EQ(gateway_.query_.filter.port, 1) << "it was never asked";
}

TEST_F(ApiTest, AnOperatorsWeightIsShownBesideTheConfiguredOne) {
  Rules rules = rules_of(*gateway_.status_.ruleset);
  Backend& backend = rules.vips[0].services[0].backends[0];
  backend.configured_weight = std::exchange(backend.weight, 5);
  gateway_.status_.ruleset = compile(std::move(rules), 4);
  const auto shown = ask("GET", "/v1/backends")["backends"][0];
  EXPECT_EQ(shown["weight"], 5);
  EXPECT_EQ(shown["configured_weight"], 1);
}

TEST_F(ApiTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(ask("GET", "/v1/statuses")["error"], HasSubstr("/v1/status"));
  EXPECT_EQ(response_.status, 404);
  EXPECT_THAT(ask("GET", "/v1/reload")["error"], HasSubstr("POST"));
  EXPECT_EQ(response_.status, 405);
  EXPECT_EQ(gateway_.reloads_, 0);
}

}  // namespace
}  // namespace vipgate::control
