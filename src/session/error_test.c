#include "session/error.h"

#include "base/test.h"

static void fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(0xa0 + i);
}

#define ID "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf-G:0-TimeStamp:03/04/2026 10:20:30"

static const struct {
    const char *name;
    void (*put)(struct buf *b, enum status st, struct span why, struct now now, struct random r);
    enum status st;
    const char *why;
    const char *want;
} rows[] = {
  /* clang-format off */
    {"E1 with the table's text", error_put_rest, UNAUTHORIZED, NULL,
     "{\"Message\":\"ErrorCode:IotHubUnauthorizedAccess;Unauthorized\","
     "\"ExceptionMessage\":\"Tracking ID:" ID "\"}"},
    {"E1 with a text of its own", error_put_rest, NO_DEVICE, "pump-99",
     "{\"Message\":\"ErrorCode:DeviceNotFound;pump-99\","
     "\"ExceptionMessage\":\"Tracking ID:" ID "\"}"},
    {"what a peer sent is escaped", error_put_rest, BAD_ARGUMENT, "a\"\n\xff",
     "{\"Message\":\"ErrorCode:ArgumentInvalid;a\\\"\\n\xef\xbf\xbd\","
     "\"ExceptionMessage\":\"Tracking ID:" ID "\"}"},
    {"a module that exists is E2 on REST, too", error_put_rest, MODULE_EXISTS, "it is there",
     "{\"errorCode\":409301,\"trackingId\":\"" ID "\",\"message\":\"it is there\","
     "\"timestampUtc\":\"2026-03-04T10:20:30.5000000Z\"}"},
    {"E2 with the table's text", error_put_device, ETAG_MISMATCH, NULL,
     "{\"errorCode\":412001,\"trackingId\":\"" ID "\","
     "\"message\":\"PreconditionFailed, ETag may be invalid.\","
     "\"timestampUtc\":\"2026-03-04T10:20:30.5000000Z\"}"},
    {"E2 escapes", error_put_device, BAD_ARGUMENT, "\x7f\\",
     "{\"errorCode\":400004,\"trackingId\":\"" ID "\",\"message\":\"\\u007f\\\\\","
     "\"timestampUtc\":\"2026-03-04T10:20:30.5000000Z\"}"},
  /* clang-format on */
};

TEST(bodies_of_refusals_are_these)
{
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&b);
        rows[i].put(&b, rows[i].st, span_text(rows[i].why), (struct now){1772619630500, 0},
                    (struct random){fill, NULL});
        EXPECT_SPAN_IN(rows[i].name, buf_span(&b), span_text(rows[i].want));
    }
    buf_fini(&b);
}

TEST_MAIN(RUN(bodies_of_refusals_are_these))
