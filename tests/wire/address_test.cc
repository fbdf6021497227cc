#include "vipgate/address.h"

#include <gtest/gtest.h>

#include <random>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

TEST(Ipv4Address, reads_what_it_prints) {
  std::mt19937 random(1);
  for (int i = 0; i < 10000; ++i) {
    const Ipv4Address value(static_cast<std::uint32_t>(random()));
    EXPECT_EQ(Ipv4Address::parse(value.to_string()), value);
  }
}

TEST(Ipv4Address, has_its_first_part_in_the_upper_byte) {
  EXPECT_EQ(address("203.0.113.10").value(), 0xcb00710aU);
  EXPECT_EQ(Ipv4Address(0xcb00710a).to_string(), "203.0.113.10");
  EXPECT_EQ(Ipv4Address::parse("0.0.0.0"), Ipv4Address());
  EXPECT_EQ(address("255.255.255.255").value(), 0xffffffffU);
}

TEST(Ipv4Address, refuses_anything_but_four_plain_numbers) {
  for (const char* text : {"",
                           ".",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.",
                           ".1.2.3",
                           "1..2.3",
                           "1.2.3.256",
                           "256.2.3.4",
                           "1.2.3.04",
                           "01.2.3.4",
                           "1.2.3.00",
                           " 1.2.3.4",
                           "1.2.3.4 ",
                           "1.2.3. 4",
                           "-1.2.3.4",
                           "+1.2.3.4",
                           "1.2.3.4/32",
                           "1.2.3.0x4",
                           "1.2.3.a",
                           "1.2.3.4294967300",
                           "1.2.3.99999999999999999999"}) {
    EXPECT_EQ(Ipv4Address::parse(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(Ipv4Address, reads_no_further_than_its_text) {
  EXPECT_EQ(Ipv4Address::parse(std::string_view("1.2.3.45").substr(0, 7)), address("1.2.3.4"));
  EXPECT_EQ(Ipv4Address::parse(std::string_view("1.2.3.4\0", 8)), std::nullopt);
}

TEST(Ipv4Prefix, reads_what_it_prints) {
  std::mt19937 random(2);
  for (int i = 0; i < 10000; ++i) {
    const Ipv4Prefix prefix(Ipv4Address(static_cast<std::uint32_t>(random())), static_cast<int>(random() % 33));
    EXPECT_EQ(Ipv4Prefix::parse(prefix.to_string()), prefix) << prefix.to_string();
  }
}

TEST(Ipv4Prefix, of_a_plain_address_is_that_host) {
  const auto prefix = Ipv4Prefix::parse("10.0.0.1");
  ASSERT_TRUE(prefix);
  EXPECT_EQ(prefix->length(), 32);
  EXPECT_EQ(prefix->address(), address("10.0.0.1"));
  EXPECT_EQ(prefix->last(), address("10.0.0.1"));
}

TEST(Ipv4Prefix, refuses_host_bits_and_bad_lengths) {
  for (const char* text : {"10.0.0.1/24", "128.0.0.0/0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1",
                           "10.0.0.0/8 ", "10.0.0.0/8/8", "/8", "10.0.0/8"}) {
    EXPECT_EQ(Ipv4Prefix::parse(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(Ipv4Prefix, contains_what_a_bitwise_look_says) {
  std::mt19937 random(3);
  for (int i = 0; i < 100000; ++i) {
    const int length = static_cast<int>(random() % 33);
    const Ipv4Prefix prefix(Ipv4Address(static_cast<std::uint32_t>(random())), length);
    // An address that shares a random number of leading bits with the prefix.
    const auto shared = static_cast<int>(random() % 33);
    const std::uint32_t behind = shared == 32 ? 0 : ~std::uint32_t{0} >> shared;
    const Ipv4Address host((prefix.address().value() & ~behind) | (static_cast<std::uint32_t>(random()) & behind));
    bool inside = true;
    for (int bit = 0; bit < length; ++bit) {
      inside &= (host.value() >> (31 - bit) & 1) == (prefix.address().value() >> (31 - bit) & 1);
    }
    ASSERT_EQ(prefix.contains(host), inside) << prefix.to_string() << " " << host.to_string();
    ASSERT_EQ(prefix.contains(host), prefix.address() <= host && host <= prefix.last());
  }
}

TEST(Ipv4Prefix, contains_narrower_prefixes_and_itself) {
  const Ipv4Prefix wide(address("10.0.0.0"), 8);
  const Ipv4Prefix narrow(address("10.1.0.0"), 16);
  EXPECT_TRUE(wide.contains(narrow));
  EXPECT_TRUE(wide.contains(wide));
  EXPECT_FALSE(narrow.contains(wide));
  EXPECT_FALSE(wide.contains(Ipv4Prefix(address("11.0.0.0"), 16)));
  EXPECT_TRUE(Ipv4Prefix().contains(wide));  // 0.0.0.0/0
  EXPECT_TRUE(Ipv4Prefix().contains(address("255.255.255.255")));
}

TEST(Endpoint, is_an_address_and_a_port) {
  EXPECT_EQ(Endpoint::parse("10.0.0.2:8080"), (Endpoint{address("10.0.0.2"), 8080}));
  EXPECT_EQ(Endpoint::parse("0.0.0.0:0"), Endpoint());
  for (const char* text : {"", ":", "10.0.0.2", "10.0.0.2:", "10.0.0.2:65536", "10.0.0.2:080", "10.0.0.2:80 ", ":80",
                           "10.0.0:80", "10.0.0.2:-1", "10.0.0.2:80:80"}) {
    EXPECT_EQ(Endpoint::parse(text), std::nullopt) << text;
  }
}

TEST(Endpoint, prints_address_and_port) {
  EXPECT_EQ((Endpoint{address("10.0.0.2"), 8080}).to_string(), "10.0.0.2:8080");
  EXPECT_EQ(endpoint("10.0.0.2:65535").port, 65535);
}

}  // namespace
}  // namespace vipgate::test
