#include "session/error.h"

#include "base/text.h"

static void put_tracking_id(struct buf *b, struct now now, struct random random)
{
    uint8_t id[16];
    random_fill(random, id, sizeof(id));
    text_put_hex(b, span_of(id, sizeof(id)));
    buf_text(b, "-G:0-TimeStamp:");
    text_put_time_us(b, now.wall_ms);
}

static struct span text_of(enum status st, struct span why)
{
    return why.len ? why : span_text(status_get(st)->text);
}

void error_put_rest(struct buf *b, enum status st, struct span why, struct now now,
                    struct random random)
{
    if (st == MODULE_EXISTS) {
        error_put_device(b, st, why, now, random);
        return;
    }
    struct buf message = {0};
    buf_printf(&message, "ErrorCode:%s;", status_get(st)->label);
    buf_put(&message, text_of(st, why));
    buf_text(b, "{\"Message\":");
    text_put_json_any(b, buf_span(&message));
    buf_text(b, ",\"ExceptionMessage\":\"Tracking ID:");
    put_tracking_id(b, now, random);
    buf_text(b, "\"}");
    buf_fini(&message);
}

void error_put_device(struct buf *b, enum status st, struct span why, struct now now,
                      struct random random)
{
    buf_printf(b, "{\"errorCode\":%d,\"trackingId\":\"", status_get(st)->code);
    put_tracking_id(b, now, random);
    buf_text(b, "\",\"message\":");
    text_put_json_any(b, text_of(st, why));
    buf_text(b, ",\"timestampUtc\":\"");
    text_put_time_digits(b, now.wall_ms, 7);
    buf_text(b, "\"}");
}
