// An HTTP/1.1 answer as it comes in.
#ifndef ANSWER_H
#define ANSWER_H

#include <stddef.h>

typedef struct {
    char *bytes;  // the head, then the body as it stands on the wire
    size_t size, capacity;
    size_t head_size;  // 0 until the whole head is there
    int status;
    int chunked, closes;
    size_t content_length;
} Answer;

enum { INCOMPLETE, COMPLETE, MALFORMED };

// Make room for at least `room` more bytes.
void grow_answer(Answer *answer, size_t room);

// Whether the bytes so far are one whole answer.
int parse_answer(Answer *answer);

// Forget what was read; keep the memory.
void clear_answer(Answer *answer);

// The body without its chunk framing, moved to the front of the body's place; its size.
size_t unchunk_body(Answer *answer);

#endif
