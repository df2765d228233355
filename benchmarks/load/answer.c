#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void grow_answer(Answer *answer, size_t room) {
    if (answer->capacity - answer->size >= room + 1) return;
    answer->capacity = 2 * answer->capacity + room + 1;
    answer->bytes = realloc(answer->bytes, answer->capacity);
    if (!answer->bytes) abort();
}

void clear_answer(Answer *answer) {
    Answer empty = {.bytes = answer->bytes, .capacity = answer->capacity};
    *answer = empty;
}

static int is_header(const char *line, size_t size, const char *name, const char **value) {
    size_t length = strlen(name);
    if (size < length || strncasecmp(line, name, length)) return 0;
    for (*value = line + length; **value == ' '; (*value)++) {
    }
    return 1;
}

static int parse_head(Answer *answer) {
    const char *end = strstr(answer->bytes, "\r\n\r\n");
    if (!end) return INCOMPLETE;
    if (strncmp(answer->bytes, "HTTP/1.", 7)) return MALFORMED;
    answer->closes = answer->bytes[7] == '0';
    answer->status = atoi(answer->bytes + 9);
    if (answer->status < 200 || answer->status > 599) return MALFORMED;
    int has_length = 0;
    for (const char *line = answer->bytes, *stop; line < end; line = stop + 2) {
        stop = strstr(line, "\r\n");
        const char *value;
        if (is_header(line, (size_t)(stop - line), "content-length:", &value)) {
            answer->content_length = strtoull(value, NULL, 10);
            has_length = 1;
        } else if (is_header(line, (size_t)(stop - line), "transfer-encoding:", &value)) {
            answer->chunked = !strncasecmp(value, "chunked", 7);
        } else if (is_header(line, (size_t)(stop - line), "connection:", &value)) {
            answer->closes = !strncasecmp(value, "close", 5);
        }
    }
    answer->head_size = (size_t)(end + 4 - answer->bytes);
    return has_length || answer->chunked ? COMPLETE : MALFORMED;
}

// Walk the chunks; if `to` is given, move their contents there. The sizes of both sides.
static int walk_chunks(const Answer *answer, char *to, size_t *content) {
    const char *at = answer->bytes + answer->head_size, *end = answer->bytes + answer->size;
    for (*content = 0;;) {
        const char *line_end = strstr(at, "\r\n");
        if (!line_end) return INCOMPLETE;
        char *digits_end;
        size_t size = strtoull(at, &digits_end, 16);
        if (digits_end == at) return MALFORMED;
        at = line_end + 2;
        if ((size_t)(end - at) < size + 2) return INCOMPLETE;
        if (!size) return COMPLETE;  // trailers are not read: no server here sends any
        if (to) memmove(to + *content, at, size);
        *content += size;
        at += size + 2;
    }
}

int parse_answer(Answer *answer) {
    answer->bytes[answer->size] = 0;
    if (!answer->head_size) {
        int head = parse_head(answer);
        if (head != COMPLETE) return head;
    }
    size_t content;
    if (answer->chunked) return walk_chunks(answer, NULL, &content);
    return answer->size >= answer->head_size + answer->content_length ? COMPLETE : INCOMPLETE;
}

size_t unchunk_body(Answer *answer) {
    size_t content = answer->content_length;
    if (answer->chunked) walk_chunks(answer, answer->bytes + answer->head_size, &content);
    return content;
}
