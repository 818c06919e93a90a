/* A user name that is understood, written in the form of today's SDKs, means the same. */
#include "wire/username.h"

#include "base/text.h"
#include "wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_canonical(struct buf *b, const struct username *u)
{
    buf_put(b, u->host);
    buf_text(b, ":8883/");
    buf_put(b, u->device);
    if (u->module.len) {
        buf_byte(b, '/');
        buf_put(b, u->module);
    }
    buf_text(b, "/?api-version=");
    uri_put(b, u->api_version);
    buf_text(b, "&DeviceClientType=");
    uri_put(b, u->client_type);
    buf_text(b, "&model-id=");
    uri_put(b, u->model_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t block[1 << 17];
    struct span text = span_of(data, size);
    struct arena a;
    struct username u, back;
    if (!text_is_utf8(text) || span_index(text, '\0') < text.len)
        return 0; /* stopped by mqtt.h */
    arena_init(&a, block, sizeof(block));
    enum status st = username_parse(text, &a, &u);
    CHECK(st == OK || st == UNAUTHORIZED);
    if (st == OK) {
        struct buf b = {0};
        CHECK(u.host.len);
        CHECK(u.device.len);
        put_canonical(&b, &u);
        CHECK(username_parse(buf_span(&b), &a, &back) == OK);
        CHECK(span_eq(u.host, back.host));
        CHECK(span_eq(u.device, back.device));
        CHECK(span_eq(u.module, back.module));
        CHECK(span_eq(u.api_version, back.api_version));
        CHECK(span_eq(u.client_type, back.client_type));
        CHECK(span_eq(u.model_id, back.model_id));
        CHECK(u.is_registration == back.is_registration);
        buf_fini(&b);
    }
    arena_reset(&a);
    return 0;
}
