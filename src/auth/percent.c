#include "auth/percent.h"

#include "base/text.h"

bool percent_decode(struct span text, uint8_t *out, size_t room, size_t *out_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; len++) {
        if (len == room)
            return false;
        size_t one;
        if (text.data[i] == '%' && text.len - i > 2 &&
            text_hex(span_of(text.data + i + 1, 2), &out[len], 1, &one))
            i += 3;
        else
            out[len] = text.data[i++];
    }
    *out_len = len;
    return true;
}
