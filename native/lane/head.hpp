// The head of a request: what a client says over and over, apart from what is new in every request.
//
// A head means what its request line and the headers that somebody reads say. Gateways and tracers
// add others, with values that never come again: where they are well formed, they do not matter.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace seqserve {

struct HeadWords {
  std::string key;        // the request line and the headers that matter, as a head of their own
  std::size_t num_bytes;  // of the head, its empty line included
  std::size_t body_bytes;
  std::string_view request_id;  // the caller's own, which may be sent back; empty: there is none
  std::string trace_parent;     // what it is a part of, well formed; empty if it does not say
  // who the caller says to be: a part of no key, as one caller's must never count for another
  std::string_view authorization, api_key;
};

// Reads plain heads alone, in none of which two readers of HTTP could see different requests: a
// POST to a path, one line a header, one length, at most one `x-request-id` and that a fit one, at
// most one of each header that says who asks.
class HeadReader {
 public:
  // names: of the headers that matter, in lower case.
  explicit HeadReader(std::vector<std::string> names) : names_(std::move(names)) {}

  // The head that these bytes begin with; nothing if it is not complete, or not plain.
  std::optional<HeadWords> read(std::string_view data) const;

 private:
  bool matters(std::string_view name) const;

  std::vector<std::string> names_;
};

}  // namespace seqserve
