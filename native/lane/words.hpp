// A request without its numbers: what clients say over and over.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace seqserve {

// The head of a request: what is looked up, and the length of the body.
struct HeadWords {
  std::string key;        // the head without the content length's digits
  std::size_t num_bytes;  // of the head, its empty line included
  std::size_t body_bytes;
};

// The head that these bytes begin with; nothing if it is not complete, or has no plain length.
std::optional<HeadWords> head_words(std::string_view data);

// A body without its numbers.
struct BodyWords {
  std::string key;           // what comes before and behind them, and where they start
  std::string_view numbers;  // a flat JSON array; or binary tensors, to the body's end
  bool is_text;
};

// A body without its numbers; nothing if there are too many words to keep.
//
// json_bytes: how much of the body is JSON, binary tensors follow; all of it if negative.
std::optional<BodyWords> body_words(std::string_view body, long json_bytes);

}  // namespace seqserve
