/* Disable and enable against a hub that answers from a list: what is written, and what happens when
 * somebody else wrote in between. */
#include "cli/commands.h"

#include "base/test.h"
#include "cli/identity_command.h"
#include "cli/say.h"

#define IDENTITY(etag)                                                                            \
    "{\"deviceId\":\"d1\",\"etag\":\"" etag "\",\"status\":\"enabled\",\"statusReason\":\"old\"," \
    "\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"k\"}}}"

/* The hub: what the next call is answered with, and what the last PUT said. */
static const char *const *answers;
static long statuses[4];
static int calls, refused;
static struct buf etags, body, said;

int client_open(struct client *c, const struct args *args)
{
    *c = (struct client){.args = args};
    return EXIT_OK;
}

void client_close(struct client *c)
{
    buf_fini(&c->reply.body);
}

int client_send(struct client *c, const struct client_call *call)
{
    c->reply.status = statuses[calls];
    buf_clear(&c->reply.body);
    buf_text(&c->reply.body, answers[calls++]);
    if (strcmp(call->method, "PUT") == 0) {
        buf_printf(&etags, "%s ", call->if_match);
        buf_clear(&body);
        buf_put(&body, call->body);
    }
    return EXIT_OK;
}

int client_ask(struct client *c, const struct client_call *call, struct json *out)
{
    *out = (struct json){0};
    int code = client_send(c, call);
    bool ok = json_parse(buf_span(&c->reply.body), out);
    return ok ? code : EXIT_UNREACHABLE;
}

int client_refused(struct client *c)
{
    (void)c;
    refused++;
    return EXIT_REFUSED;
}

int client_show_reply(struct client *c, struct doc_node reply)
{
    (void)c;
    json_put_line(&said, reply);
    return EXIT_OK;
}

int client_once(const struct args *args, const struct client_call *call, client_show *show)
{
    (void)args, (void)call, (void)show;
    return EXIT_FAILED;
}

void client_put_path(struct buf *b, const char *collection, const char *device, const char *module)
{
    buf_printf(b, "/%s/%s%s", collection, device, module ? module : "");
}

int identity_check(const struct args *a, const char *device, const char *module)
{
    (void)a, (void)device, (void)module;
    return EXIT_OK;
}

int identity_put_authentication(struct buf *b, const struct args *a)
{
    (void)b, (void)a;
    return EXIT_FAILED;
}

int identity_create(const struct args *a, const char *device, const char *module, struct span json)
{
    (void)a, (void)device, (void)module, (void)json;
    return EXIT_FAILED;
}

int identity_show(const struct args *a, const char *device, const char *module)
{
    (void)a, (void)device, (void)module;
    return EXIT_FAILED;
}

int identity_delete(const struct args *a, const char *device, const char *module)
{
    (void)a, (void)device, (void)module;
    return EXIT_FAILED;
}

struct span identity_time(struct doc_node identity, const char *name)
{
    return json_text(identity, name);
}

static int run(command_run *command, const char *const *texts, const long *codes,
               const char *reason)
{
    static const struct command_row row = {
        .group = "device", .verb = "disable", .arguments = "DEVICE", .help = "", .example = ""};
    struct args args = {.row = &row, .at = {"d1"}, .count = 1};
    args.option[OPTION_REASON] = reason;
    args.option[OPTION_JSON] = "";
    answers = texts;
    memcpy(statuses, codes, sizeof(statuses));
    calls = refused = 0;
    buf_clear(&etags);
    buf_clear(&said);
    return command(&args);
}

TEST(a_status_is_changed_and_all_else_is_kept)
{
    static const char *const texts[] = {IDENTITY("E1"), "{\"status\":\"disabled\"}"};
    static const long codes[4] = {200, 200};
    EXPECT_EQ(run(device_disable, texts, codes, "a \"lost\" one"), EXIT_OK);
    EXPECT_SPAN(buf_span(&etags), SPAN("E1 "));
    EXPECT_SPAN(buf_span(&body),
                SPAN("{\"deviceId\":\"d1\",\"etag\":\"E1\","
                     "\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"k\"}},"
                     "\"status\":\"disabled\",\"statusReason\":\"a \\\"lost\\\" one\"}"));
    EXPECT_SPAN(buf_span(&said), SPAN("{\"status\":\"disabled\"}"));
    EXPECT_EQ(refused, 0);
}

TEST(enabling_clears_the_reason)
{
    static const char *const texts[] = {IDENTITY("E1"), "{}"};
    static const long codes[4] = {200, 200};
    EXPECT_EQ(run(device_enable, texts, codes, NULL), EXIT_OK);
    EXPECT(span_starts(buf_span(&body), SPAN("{\"deviceId\":\"d1\"")));
    struct span end = SPAN(",\"status\":\"enabled\",\"statusReason\":null}");
    EXPECT(body.len > end.len);
    EXPECT_SPAN(span_skip(buf_span(&body), body.len - end.len), end);
}

TEST(a_write_in_between_is_read_again_once)
{
    static const char *const texts[] = {IDENTITY("E1"), "{}", IDENTITY("E2"), "{}"};
    static const long once[4] = {200, 412, 200, 200}, twice[4] = {200, 412, 200, 412};
    EXPECT_EQ(run(device_disable, texts, once, NULL), EXIT_OK);
    EXPECT_SPAN(buf_span(&etags), SPAN("E1 E2 "));
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(run(device_disable, texts, twice, NULL), EXIT_REFUSED);
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(refused, 1);
}

TEST(another_refusal_is_not_tried_again)
{
    static const char *const texts[] = {IDENTITY("E1"), "{}"};
    static const long codes[4] = {200, 400};
    EXPECT_EQ(run(device_disable, texts, codes, NULL), EXIT_REFUSED);
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(refused, 1);
    buf_fini(&etags);
    buf_fini(&body);
    buf_fini(&said);
}

TEST_MAIN(RUN(a_status_is_changed_and_all_else_is_kept), RUN(enabling_clears_the_reason),
          RUN(a_write_in_between_is_read_again_once), RUN(another_refusal_is_not_tried_again))
