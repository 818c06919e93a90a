#include "auth/identity.h"

#include "base/text.h"

static bool is_id_byte(uint8_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return true;
    return c && strchr("-:.+%_#*?!(),=@;$'", c);
}

bool auth_id_is_valid(struct span id)
{
    if (id.len == 0 || id.len > ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!is_id_byte(id.data[i]))
            return false;
    return true;
}

bool key_parse(struct span base64, struct key *out)
{
    struct key k;
    size_t len;
    if (!text_base64(base64, k.bytes, sizeof(k.bytes), &len) || len < KEY_MIN)
        return false;
    k.len = (uint8_t)len;
    out->len = k.len;
    memcpy(out->bytes, k.bytes, len);
    return true;
}
