#include "lane/words.hpp"

#include <algorithm>

namespace seqserve {

namespace {

constexpr std::size_t kMaxWordsBytes = 1'024;
constexpr std::string_view kData = "\"data\":", kId = "\"id\":";

// Where the value begins of the first member named so; npos if there is none.
std::size_t find_value(std::string_view words, std::string_view name) {
  auto found = words.find(name);
  if (found == words.npos) return words.npos;
  auto start = found + name.size();
  return start < words.size() && words[start] == ' ' ? start + 1 : start;
}

bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '\\'; }

// Add words to the key, but the text of the first id; false if that is not plain.
bool add_words(BodyWords& words, std::string_view more) {
  auto start = words.id ? more.npos : find_value(more, kId);
  if (start >= more.size() || more[start] != '"') {  // none, or no string
    words.key.append(more);
    return true;
  }
  auto stop = more.find('"', ++start);
  if (stop == more.npos) return false;
  words.id = more.substr(start, stop - start);
  words.key.append(more.substr(0, start)).append(more.substr(stop));
  return std::ranges::all_of(*words.id, is_plain);
}

}  // namespace

std::optional<BodyWords> body_words(std::string_view body, long json_bytes) {
  BodyWords words;
  if (json_bytes >= 0) {
    auto length = static_cast<std::size_t>(json_bytes);
    if (length > kMaxWordsBytes || length >= body.size()) return std::nullopt;
    words.key = "binary ";
    words.numbers = body.substr(length);
    if (!add_words(words, body.substr(0, length))) return std::nullopt;
    return words;
  }
  auto start = find_value(body.substr(0, kMaxWordsBytes), kData);
  if (start >= body.size() || body[start] != '[') return std::nullopt;
  auto stop = body.find(']', start);
  if (stop == body.npos || body.size() - (stop + 1 - start) > kMaxWordsBytes) return std::nullopt;
  words.key = "text ";
  words.numbers = body.substr(start, stop + 1 - start);
  // both brackets stay, and mark the place
  if (!add_words(words, body.substr(0, start + 1))) return std::nullopt;
  if (!add_words(words, body.substr(stop))) return std::nullopt;
  return words;
}

}  // namespace seqserve
