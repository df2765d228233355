#include "lane/head.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "lane/trace.hpp"

namespace seqserve {

namespace {

constexpr std::size_t kMaxHeadBytes = 8'192, kMaxKeyBytes = 2'048;
constexpr std::size_t kMaxLengthDigits = 9, kMaxIdBytes = 128;
constexpr std::string_view kLineEnd = "\r\n";

bool is_visible(char c) { return c > ' ' && c <= '~'; }

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// RFC 9110, 5.6.2: what a header's name is made of.
bool is_of_token(char c) {
  constexpr std::string_view kOthers = "-_!#$%&'*+.^`|~";
  return is_alphanumeric(c) || kOthers.find(c) != kOthers.npos;
}

// RFC 9110, 5.5: what a header's value is made of; no control characters but tabs.
bool is_of_value(char c) {
  auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= ' ' && byte != 0x7f);
}

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// Cut off the next line, which is ended.
std::string_view take_line(std::string_view& lines) {
  auto stop = lines.find(kLineEnd);
  auto line = lines.substr(0, stop);
  lines.remove_prefix(stop + kLineEnd.size());
  return line;
}

bool is_plain_request(std::string_view line) {
  constexpr std::string_view kMethod = "POST ", kVersion = " HTTP/1.1";
  if (!line.starts_with(kMethod)) return false;
  line.remove_prefix(kMethod.size());
  if (!line.starts_with('/') || !line.ends_with(kVersion)) return false;
  line.remove_suffix(kVersion.size());
  return std::ranges::all_of(line, is_visible);
}

std::optional<std::size_t> read_length(std::string_view digits) {
  std::size_t length = 0;
  auto end = digits.data() + digits.size();
  auto read = std::from_chars(digits.data(), end, length);
  if (read.ec != std::errc() || read.ptr != end || digits.size() > kMaxLengthDigits) {
    return std::nullopt;
  }
  return length;
}

// As `service/api/exchange.py` accepts them.
bool is_fit_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes && std::ranges::all_of(id, is_visible);
}

struct Header {
  std::string name;  // in lower case
  std::string_view value;
};

// What a line says; nothing if it is not well formed, as one that goes on with the line before.
//
// Spaces behind the value are a part of it, as they are to httptools.
std::optional<Header> read_header(std::string_view line) {
  auto colon = line.find(':');
  if (colon == line.npos || colon == 0) return std::nullopt;
  auto value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  Header header{std::string(line.substr(0, colon)), value};
  if (!std::ranges::all_of(header.name, is_of_token) || !std::ranges::all_of(value, is_of_value)) {
    return std::nullopt;
  }
  std::ranges::transform(header.name, header.name.begin(), to_lower);
  return header;
}

}  // namespace

std::optional<HeadWords> HeadReader::read(std::string_view data) const {
  auto blank = data.substr(0, kMaxHeadBytes).find("\r\n\r\n");
  if (blank == data.npos) return std::nullopt;
  auto lines = data.substr(0, blank + kLineEnd.size());
  auto request = take_line(lines);
  if (!is_plain_request(request)) return std::nullopt;
  HeadWords words{std::string(request).append(kLineEnd), blank + 4, 0, {}, {}, {}, {}};
  std::optional<std::size_t> length;
  bool is_traced = false, has_authorization = false, has_api_key = false;
  while (!lines.empty()) {
    auto header = read_header(take_line(lines));
    if (!header) return std::nullopt;
    const auto& [name, value] = *header;
    if (name == "content-length") {
      if (length || !(length = read_length(value))) return std::nullopt;
    } else if (name == "x-request-id") {
      if (!words.request_id.empty() || !is_fit_id(value)) return std::nullopt;
      words.request_id = value;
    } else if (name == "traceparent") {  // of two, none is to be believed
      words.trace_parent = is_traced ? std::string() : read_trace_parent(value);
      is_traced = true;
    } else if (name == "authorization") {
      if (std::exchange(has_authorization, true)) return std::nullopt;
      words.authorization = value;
    } else if (name == "x-api-key") {
      if (std::exchange(has_api_key, true)) return std::nullopt;
      words.api_key = value;
    } else if (matters(name)) {
      words.key.append(name).append(": ").append(value).append(kLineEnd);
    }
  }
  if (!length || words.key.size() > kMaxKeyBytes) return std::nullopt;
  words.key.append(kLineEnd);
  words.body_bytes = *length;
  return words;
}

bool HeadReader::matters(std::string_view name) const {
  return std::ranges::find(names_, name) != names_.end();
}

}  // namespace seqserve
