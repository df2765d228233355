#include "lane/words.hpp"

#include <charconv>

namespace seqserve {

namespace {

constexpr std::size_t kMaxHeadBytes = 2'048, kMaxWordsBytes = 1'024;
constexpr std::size_t kMaxLengthDigits = 9;
constexpr std::string_view kData = "\"data\":";

// Behind the words `content-length:` and a space, if there is one; npos without such a header.
std::size_t find_length(std::string_view head) {
  for (std::string_view name : {"\r\nContent-Length:", "\r\ncontent-length:"}) {
    auto found = head.find(name);
    if (found == head.npos) continue;
    auto at = found + name.size();
    return head[at] == ' ' ? at + 1 : at;
  }
  return head.npos;
}

}  // namespace

std::optional<HeadWords> head_words(std::string_view data) {
  auto blank = data.substr(0, kMaxHeadBytes).find("\r\n\r\n");
  if (blank == data.npos) return std::nullopt;
  auto head = data.substr(0, blank + 4);
  auto start = find_length(head);
  if (start == head.npos) return std::nullopt;
  std::size_t length = 0;
  auto read = std::from_chars(head.data() + start, head.data() + head.size(), length);
  auto stop = static_cast<std::size_t>(read.ptr - head.data());
  if (stop == start || stop - start > kMaxLengthDigits || head.substr(stop, 2) != "\r\n") {
    return std::nullopt;
  }
  HeadWords words{std::string(head.substr(0, start)), head.size(), length};
  words.key.append(head.substr(stop));
  return words;
}

std::optional<BodyWords> body_words(std::string_view body, long json_bytes) {
  auto key = [](std::size_t start) { return std::to_string(start) + ' '; };
  if (json_bytes >= 0) {
    auto length = static_cast<std::size_t>(json_bytes);
    if (length > kMaxWordsBytes || length >= body.size()) return std::nullopt;
    return BodyWords{key(length).append(body.substr(0, length)), body.substr(length), false};
  }
  auto found = body.substr(0, kMaxWordsBytes).find(kData);
  if (found == body.npos) return std::nullopt;
  auto start = found + kData.size();
  if (start < body.size() && body[start] == ' ') ++start;
  if (start >= body.size() || body[start] != '[') return std::nullopt;
  auto stop = body.find(']', start);
  if (stop == body.npos || body.size() - (++stop - start) > kMaxWordsBytes) return std::nullopt;
  BodyWords words{key(start), body.substr(start, stop - start), true};
  words.key.append(body.substr(0, start)).append(body.substr(stop));
  return words;
}

}  // namespace seqserve
