#include "config/json_tree.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace vipgate::config {
namespace {

using Json = nlohmann::json;

/// Walks the text and tells how far the lexer has read: the library hands out values without their places.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, std::size_t* count) : at_(at), count_(count) {}

  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  std::size_t* count_;
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

/// Builds the tree from the parser's events. Between two events lie blanks, comments and at most one separator; walking
/// over them from the end of one token gives the start of the next.
class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(std::string_view text, const std::size_t* consumed, JsonValue& root, Errors& errors)
      : text_(text), consumed_(consumed), root_(root), errors_(errors) {
    if (text_.starts_with("\xEF\xBB\xBF")) end_ = 3;
  }

  bool null() override { return literal(JsonKind::null, false, 4); }
  bool boolean(bool value) override { return literal(JsonKind::boolean, value, value ? 4 : 5); }

  bool number_integer(number_integer_t value) override { return number(JsonKind::integer, value); }
  bool number_unsigned(number_unsigned_t value) override {
    constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    return number(JsonKind::integer, static_cast<std::int64_t>(std::min<std::uint64_t>(value, kMax)));
  }
  bool number_float(number_float_t value, const string_t& written) override {
    // What does not fit into 64 bits comes as a float too; for a reader it is a whole number, out of every range.
    if (written.find_first_of(".eE") != std::string::npos) return number(JsonKind::fraction, 0);
    using Limits = std::numeric_limits<std::int64_t>;
    return number(JsonKind::integer, value < 0 ? Limits::min() : Limits::max());
  }

  bool string(string_t& content) override {
    JsonValue value = make(JsonKind::string, token().start);
    value.text = std::move(content);
    end_ = *consumed_;
    return add(std::move(value));
  }
  bool binary(binary_t& /*content*/) override { return false; }  // no JSON text has any

  bool start_object(std::size_t /*size*/) override { return open(JsonKind::object); }
  bool start_array(std::size_t /*size*/) override { return open(JsonKind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    JsonMember& member = open_.back().members.emplace_back();
    member.key_offset = token().start;
    member.key = std::move(name);
    end_ = *consumed_;
    next_ = Next::colon;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& last_token, const Json::exception& error) override;

 private:
  enum class Next : std::uint8_t {
    first,
    colon,
    comma,
    nothing
  };  // `first`: the text's, an object's or an array's first thing

  struct Token {
    std::size_t start = 0;
    bool separated = false;  // behind a comma or colon that had to be there
  };

  std::size_t skip_blank(std::size_t at) const;
  std::size_t number_end(std::size_t offset) const;
  Token token() const;
  char at(std::size_t offset) const { return offset < text_.size() ? text_[offset] : '\0'; }

  static JsonValue make(JsonKind kind, std::size_t offset) {
    JsonValue value;
    value.kind = kind;
    value.offset = offset;
    return value;
  }

  bool literal(JsonKind kind, bool value, std::size_t length) {
    const std::size_t start = token().start;
    end_ = start + length;
    JsonValue result = make(kind, start);
    result.boolean = value;
    return add(std::move(result));
  }

  bool number(JsonKind kind, std::int64_t integer) {
    const std::size_t start = token().start;
    end_ = number_end(start);
    JsonValue value = make(kind, start);
    value.integer = integer;
    value.text = text_.substr(start, end_ - start);
    return add(std::move(value));
  }

  bool open(JsonKind kind) {
    const std::size_t start = token().start;
    if (open_.size() == kMaxJsonDepth) {
      errors_.add(start, "nested more than " + std::to_string(kMaxJsonDepth) + " deep");
      return false;
    }
    end_ = start + 1;
    open_.push_back(make(kind, start));
    next_ = Next::first;
    return true;
  }

  bool close() {
    end_ = token().start + 1;
    JsonValue done = std::move(open_.back());
    open_.pop_back();
    return add(std::move(done));
  }

  bool add(JsonValue value) {
    next_ = open_.empty() ? Next::nothing : Next::comma;
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().kind == JsonKind::array) {
      open_.back().items.push_back(std::move(value));
    } else {
      open_.back().members.back().value = std::move(value);
    }
    return true;
  }

  std::string expected(bool separated) const;
  std::string unexpected(const Token& found) const;
  bool in_object() const { return !open_.empty() && open_.back().kind == JsonKind::object; }

  std::string_view text_;
  const std::size_t* consumed_;
  JsonValue& root_;
  Errors& errors_;
  std::size_t end_ = 0;  // of the last token that was an event
  Next next_ = Next::first;
  std::vector<JsonValue> open_;
};

/// Stops at a comment that is none or has no end: that is what the lexer complains about.
std::size_t TreeBuilder::skip_blank(std::size_t offset) const {
  while (true) {
    offset = std::min(text_.find_first_not_of(" \t\r\n", offset), text_.size());
    if (at(offset) != '/') return offset;
    if (at(offset + 1) == '/') {
      offset = std::min(text_.find_first_of("\r\n", offset), text_.size());
    } else {
      const std::size_t close = at(offset + 1) == '*' ? text_.find("*/", offset + 2) : std::string_view::npos;
      if (close == std::string_view::npos) return offset;
      offset = close + 2;
    }
  }
}

/// The lexer has read one byte more than the number, unless the text ended. It has checked the grammar of RFC 8259 §6.
std::size_t TreeBuilder::number_end(std::size_t offset) const {
  const auto skip_digits = [&] {
    while (is_digit(at(offset))) ++offset;
  };
  if (at(offset) == '-') ++offset;
  if (at(offset) == '0') {
    ++offset;
  } else {
    skip_digits();
  }
  if (at(offset) == '.') {
    ++offset;
    skip_digits();
  }
  if (at(offset) == 'e' || at(offset) == 'E') {
    ++offset;
    if (at(offset) == '+' || at(offset) == '-') ++offset;
    skip_digits();
  }
  return offset;
}

TreeBuilder::Token TreeBuilder::token() const {
  const std::size_t start = skip_blank(end_);
  const bool separated = (next_ == Next::comma && at(start) == ',') || (next_ == Next::colon && at(start) == ':');
  return separated ? Token{skip_blank(start + 1), true} : Token{start, false};
}

std::string TreeBuilder::expected(bool separated) const {
  switch (next_) {
    case Next::first:
      if (open_.empty()) return "'{'";
      return in_object() ? "a key in quotes or '}'" : "a value or ']'";
    case Next::colon:
      return separated ? "a value" : "':' after the key";
    case Next::comma:
      if (separated) return in_object() ? "a key in quotes" : "a value";
      return in_object() ? "',' or '}'" : "',' or ']'";
    case Next::nothing:
      break;
  }
  return "the end of the file";
}

std::string TreeBuilder::unexpected(const Token& found) const {
  const char c = at(found.start);
  if (found.start >= text_.size()) {
    std::string what = "the file ends too early: " + expected(found.separated) + " is missing";
    if (!open_.empty()) {
      const JsonValue& open = open_.back();
      what += in_object() ? " (the '{'" : " (the '['";
      what += " at " + errors_.place(open.offset) + " is not closed)";
    }
    return what;
  }
  if ((c == '}' || c == ']') && next_ == Next::comma && found.separated) {
    return std::string("unexpected '") + c + "': remove the comma before it";
  }
  std::string what = "unexpected ";
  if (c == '"') {
    what += "string";
  } else if (is_word(c) || c == '-') {
    std::size_t end = found.start + 1;
    while (is_word(at(end)) || at(end) == '.' || at(end) == '-') ++end;
    what += quoted(text_.substr(found.start, end - found.start));
  } else if (c > ' ' && c <= '~') {
    what += std::string("'") + c + "'";
  } else {
    what += "byte " + std::to_string(static_cast<unsigned char>(c));
  }
  return what + ", expected " + expected(found.separated);
}

/// `position` counts the bytes read, and one for the end of the text: the byte that the lexer stumbled over is the last
/// of them.
bool TreeBuilder::parse_error(std::size_t position, const std::string& /*last_token*/, const Json::exception& error) {
  constexpr int kNumberOverflow = 406;
  const Token found = token();
  const char c = at(found.start);
  const std::size_t bad = std::min(position == 0 ? 0 : position - 1, text_.size());
  const std::string_view message = error.what();
  const bool broken_token = message.find("; last read: '") != std::string_view::npos;
  if (error.id == kNumberOverflow) {
    errors_.add(found.start, "the number is too large");
  } else if (broken_token && c == '"') {
    if (bad == text_.size() || text_[bad] == '\n' || text_[bad] == '\r') {
      errors_.add(found.start, "the string is not closed: '\"' is missing");
    } else if (static_cast<unsigned char>(text_[bad]) < 0x20) {
      errors_.add(bad, "control character in a string: write it as \\u00XX");
    } else if (message.find("UTF-8") != std::string_view::npos) {
      errors_.add(bad, "the string is not valid UTF-8");
    } else {
      errors_.add(
          bad,
          "bad escape in a string: \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX (in pairs for surrogates) are known");
    }
  } else if (broken_token && c == '/') {
    errors_.add(found.start, at(found.start + 1) == '*' ? "the comment is not closed: '*/' is missing"
                                                        : "unexpected '/': comments are // or /* */");
  } else if (broken_token && (is_digit(c) || c == '-')) {
    errors_.add(bad, "bad number: a digit is missing");
  } else {
    errors_.add(found.start, unexpected(found));
  }
  return false;
}

}  // namespace

bool parse_json(std::string_view text, JsonValue& root, Errors& errors) {
  if (text.empty()) {
    errors.add(0, "the file is empty");
    return false;
  }
  // The library takes a zero byte for the end and would not look at what follows.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    errors.add(zero, "zero byte: the file must be text in UTF-8");
    return false;
  }
  std::size_t consumed = 0;
  TreeBuilder builder(text, &consumed, root, errors);
  const char* begin = text.data();
  return Json::sax_parse(CountingIterator(begin, &consumed), CountingIterator(begin + text.size(), &consumed), &builder,
                         Json::input_format_t::json, /*strict=*/true, /*ignore_comments=*/true);
}

}  // namespace vipgate::config
