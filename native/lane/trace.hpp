// W3C Trace Context (a Recommendation of 2021): the header by which a caller says what a request is
// a part of.
#pragma once

#include <string>
#include <string_view>

namespace seqserve {

// A `traceparent` as it is to be read: `00-<trace id>-<span id>-<flags>` in lower-case
// hexadecimals. Of a later version the parts that this one knows; empty if it is not well formed.
std::string read_trace_parent(std::string_view header);

// The trace's id; empty if nothing is recorded of it, or there is none.
std::string sampled_trace_id(std::string_view trace_parent);

}  // namespace seqserve
