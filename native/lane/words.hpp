// The body of a request: what a client says over and over, apart from its numbers and its id.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace seqserve {

struct BodyWords {
  std::string key;                     // all but the numbers, and the text of the id
  std::string_view numbers;            // a flat JSON array; or binary tensors, to the body's end
  std::optional<std::string_view> id;  // of the first string named so: plain, without its quotes
};

// A body without its numbers; nothing if there are too many words to keep, or its id has other
// than printable ASCII, or an escape.
//
// json_bytes: how much of the body is JSON, binary tensors follow; all of it if negative.
std::optional<BodyWords> body_words(std::string_view body, long json_bytes);

}  // namespace seqserve
