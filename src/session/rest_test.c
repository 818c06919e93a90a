#include "base/test.h"

#include "session/rest_fixture.h"

static struct setting t;
static struct http http;

static int set_up(void **state)
{
    (void)state;
    setting_init(&t);
    http_init(&http);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_fini(&http);
    setting_fini(&t);
    return 0;
}

#define V "?api-version=2021-04-12"

/* ---- the head ---- */

static const struct {
    const char *name;
    struct rest_request request;
    enum status want;
    enum route_id route; /* on OK */
    bool unproven;       /* on OK: the owner decides */
} heads[] = {
  /* clang-format off */
    {"a policy's call", {"GET /devices/d" V, NULL, HOST, NULL, "iothubowner"}, OK, ROUTE_DEVICE_GET, false},
    {"an older version", {"GET /twins/d?api-version=2017-11-08-preview", NULL, HOST, NULL, "service"}, OK, ROUTE_TWIN_GET, false},
    {"the whole path encoded", {"GET /twins%2Fd%2fmodules%2Fm" V, NULL, HOST, NULL, "service"}, OK, ROUTE_MODULE_TWIN_GET, false},
    {"a slash at the end", {"GET /devices/" V, NULL, HOST, NULL, "registryRead"}, OK, ROUTE_DEVICE_LIST, false},
    {"POST that means PATCH", {"POST /twins/d" V, "Host: " HOST "\r\nX-HTTP-Method-Override: PATCH\r\n", HOST, NULL, "service"}, OK, ROUTE_TWIN_PATCH, false},
    {"no other override", {"POST /twins/d" V, "Host: " HOST "\r\nX-HTTP-Method-Override: PUT\r\n", HOST, NULL, "service"}, BAD_METHOD, 0, false},
    {"an override of GET", {"GET /twins/d" V, "Host: " HOST "\r\nX-HTTP-Method-Override: PATCH\r\n", HOST, NULL, "service"}, OK, ROUTE_TWIN_GET, false},
    {"PUT", {"PUT /devices/d" V, NULL, HOST, NULL, "registryReadWrite"}, OK, ROUTE_DEVICE_PUT, false},
    {"DELETE", {"DELETE /devices/d/modules/m" V, NULL, HOST, NULL, "registryReadWrite"}, OK, ROUTE_MODULE_DELETE, false},
    {"PATCH", {"PATCH /twins/d" V, NULL, HOST, NULL, "service"}, OK, ROUTE_TWIN_PATCH, false},
    {"POST", {"POST /devices" V, NULL, HOST, NULL, "registryReadWrite"}, OK, ROUTE_DEVICE_BULK, false},
    {"the host in another case, with a port", {"GET /devices/d" V, "Host: HUB.example.TEST:443\r\n", HOST, NULL, "registryRead"}, OK, ROUTE_DEVICE_GET, false},
    {"an address as host", {"GET /devices/d" V, "Host: [::1]:8443\r\n", HOST, NULL, "registryRead"}, OK, ROUTE_DEVICE_GET, false},
    {"an address without a port", {"GET /devices/d" V, "Host: [::1]\r\n", HOST, NULL, "registryRead"}, OK, ROUTE_DEVICE_GET, false},
    {"a policy's token for one device", {"GET /twins/d" V, NULL, HOST "/devices/d", NULL, "service"}, OK, ROUTE_TWIN_GET, false},
    {"a device's own token: its owner decides", {"GET /devices/d/modules" V, NULL, HOST "/devices/d", KEY_A, NULL}, OK, ROUTE_MODULE_LIST, true},
    {"a device's token for its module", {"PUT /devices/d/modules/m" V, NULL, HOST "/devices/d", KEY_A, NULL}, OK, ROUTE_MODULE_PUT, true},
    /* In the order in which they are judged: */
    {"a bad escape before everything", {"GET /devices/%zz", "Host: x\r\n", NULL, NULL, NULL}, BAD_REQUEST, 0, false},
    {"a NUL in the path", {"GET /devices/%00", NULL, NULL, NULL, NULL}, BAD_REQUEST, 0, false},
    {"no version, no host of ours, no token", {"GET /devices/d", "Host: x\r\n", NULL, NULL, NULL}, BAD_API_VERSION, 0, false},
    {"no version on a path nobody knows", {"GET /a/b/c", NULL, NULL, NULL, NULL}, BAD_API_VERSION, 0, false},
    {"a version that is none", {"GET /devices/d?api-version=latest", NULL, HOST, NULL, "iothubowner"}, BAD_API_VERSION, 0, false},
    {"too short", {"GET /devices/d?api-version=2021-04-1", NULL, HOST, NULL, "iothubowner"}, BAD_API_VERSION, 0, false},
    {"letters in it", {"GET /devices/d?api-version=2021-o4-12", NULL, HOST, NULL, "iothubowner"}, BAD_API_VERSION, 0, false},
    {"beyond digits", {"GET /devices/d?api-version=2021-0:-12", NULL, HOST, NULL, "iothubowner"}, BAD_API_VERSION, 0, false},
    {"dashes elsewhere", {"GET /devices/d?api-version=202-104-12", NULL, HOST, NULL, "iothubowner"}, BAD_API_VERSION, 0, false},
    {"another ending", {"GET /devices/d?api-version=2021-04-12-beta", NULL, HOST, NULL, "iothubowner"}, BAD_API_VERSION, 0, false},
    {"a version that does not decode", {"GET /devices/d?api-version=%2", NULL, HOST, NULL, "iothubowner"}, BAD_API_VERSION, 0, false},
    {"another host, no token", {"GET /devices/d" V, "Host: example.test\r\n", NULL, NULL, NULL}, HUB_NOT_FOUND, 0, false},
    {"a bracket alone", {"GET /devices/d" V, "Host: [\r\n", NULL, NULL, NULL}, HUB_NOT_FOUND, 0, false},
    {"a bracket that is not closed", {"GET /devices/d" V, "Host: [::1\r\n", NULL, NULL, NULL}, HUB_NOT_FOUND, 0, false},
    {"a port alone", {"GET /devices/d" V, "Host: :443\r\n", NULL, NULL, NULL}, HUB_NOT_FOUND, 0, false},
    {"no token", {"GET /devices/d" V, NULL, NULL, NULL, NULL}, UNAUTHORIZED, 0, false},
    {"a token that is none", {"GET /devices/d" V, "Host: " HOST "\r\nAuthorization: Bearer x\r\n", NULL, NULL, NULL}, UNAUTHORIZED, 0, false},
    {"an unknown policy", {"GET /devices/d" V, NULL, HOST, KEY_A, "nobody"}, UNAUTHORIZED, 0, false},
    {"another hub's resource", {"GET /devices/d" V, NULL, "hub.test", NULL, "iothubowner"}, UNAUTHORIZED, 0, false},
    {"a policy without the right", {"GET /twins/d" V, NULL, HOST, NULL, "registryReadWrite"}, UNAUTHORIZED, 0, false},
    {"reading only", {"PUT /devices/d" V, NULL, HOST, NULL, "registryRead"}, UNAUTHORIZED, 0, false},
    {"an identity where none may call", {"GET /twins/d" V, NULL, HOST "/devices/d", KEY_A, NULL}, UNAUTHORIZED, 0, false},
    {"an identity on a path nobody knows", {"GET /a/b" V, NULL, HOST "/devices/d", KEY_A, NULL}, UNAUTHORIZED, 0, false},
    {"an unknown path, no token", {"GET /a/b" V, NULL, NULL, NULL, NULL}, UNAUTHORIZED, 0, false},
    {"an unknown path", {"GET /a/b" V, NULL, HOST, NULL, "device"}, NO_ROUTE, 0, false},
    {"a path of too many words", {"GET /a/b/c/d/e/f/g/h/i" V, NULL, HOST, NULL, "device"}, NO_ROUTE, 0, false},
    {"a wrong method, no token", {"POST /twins/d" V, NULL, NULL, NULL, NULL}, UNAUTHORIZED, 0, false},
    {"a wrong method", {"POST /twins/d" V, NULL, HOST, NULL, "device"}, BAD_METHOD, 0, false},
    {"HEAD", {"HEAD /devices/d" V, NULL, HOST, NULL, "iothubowner"}, BAD_METHOD, 0, false},
    {"OPTIONS", {"OPTIONS /devices/d" V, NULL, HOST, NULL, "iothubowner"}, BAD_METHOD, 0, false},
    {"an id that is none", {"GET /devices/a%20b" V, NULL, HOST, NULL, "iothubowner"}, BAD_ARGUMENT, 0, false},
    {"a module id that is none", {"GET /devices/d/modules/a%20b" V, NULL, HOST, NULL, "iothubowner"}, BAD_ARGUMENT, 0, false},
    /* Whoever asks: */
    {"health", {"GET /healthz", "Host: whatever\r\n", NULL, NULL, NULL}, OK, ROUTE_HEALTHZ, false},
    {"WebSocket", {"GET /$iothub/websocket?iothub-no-client-cert=true", NULL, NULL, NULL, NULL}, OK, ROUTE_WEBSOCKET, false},
    {"WebSocket, encoded", {"GET /%24iothub/websocket", NULL, NULL, NULL, NULL}, OK, ROUTE_WEBSOCKET, false},
    {"health with a wrong method", {"PUT /healthz" V, NULL, NULL, NULL, NULL}, UNAUTHORIZED, 0, false},
  /* clang-format on */
};

TEST(a_head_is_judged_in_this_order)
{
    for (size_t i = 0; i < COUNT(heads); i++) {
        const char *name = heads[i].name;
        struct rest_head head;
        buf_clear(&t.out);
        rest_put(&t, &t.out, &heads[i].request);
        rest_read(&http, setting_written(&t), false);
        rest_head(&http, &t.rules, t.hub.now.wall_ms, &t.arena, &head);
        arena_reset(&t.arena);
        if (head.refusal != heads[i].want)
            fail_msg("%s: %s, not %s", name, status_name(head.refusal), status_name(heads[i].want));
        bool proven = head.refusal == OK && !heads[i].unproven;
        EXPECT_EQ_IN(name, head.refusal == OK && head.authorised, proven);
        uint32_t most = head.refusal == OK ? route_get(head.route)->body_max : 0;
        EXPECT_EQ_IN(name, head.body_max, proven ? most : REST_UNPROVEN_BODY_MAX);
        if (head.refusal == OK)
            EXPECT_EQ_IN(name, head.route, heads[i].route);
        if (head.refusal == UNAUTHORIZED)
            EXPECT_EQ_IN(name, head.reason != NULL, true);
    }
}

TEST(a_token_that_has_expired_opens_nothing)
{
    struct rest_request r = {"GET /devices/d" V, NULL, HOST, NULL, "iothubowner"};
    struct rest_head head;
    rest_put(&t, &t.out, &r);
    rest_read(&http, setting_written(&t), false);
    rest_head(&http, &t.rules, t.hub.now.wall_ms + 3899000, &t.arena, &head);
    EXPECT_EQ(head.refusal, OK); /* five minutes of skew */
    rest_head(&http, &t.rules, t.hub.now.wall_ms + 3901000, &t.arena, &head);
    EXPECT_EQ(head.refusal, UNAUTHORIZED);
}

/* ---- the call ---- */

static const struct {
    const char *line;
    enum route_id route;
    enum op_kind kind;
    const char *device, *module;
    int success;
} calls[] = {
  /* clang-format off */
    {"GET /devices/d",                ROUTE_DEVICE_GET,        OP_DEVICE_GET,    "d", "",  200},
    {"PUT /devices/d",                ROUTE_DEVICE_PUT,        OP_DEVICE_PUT,    "d", "",  200},
    {"DELETE /devices/d",             ROUTE_DEVICE_DELETE,     OP_DEVICE_DELETE, "d", "",  204},
    {"GET /devices/d/modules",        ROUTE_MODULE_LIST,       OP_MODULE_LIST,   "d", "",  200},
    {"GET /devices/d/modules/m",      ROUTE_MODULE_GET,        OP_MODULE_GET,    "d", "m", 200},
    {"PUT /devices/d/modules/m",      ROUTE_MODULE_PUT,        OP_MODULE_PUT,    "d", "m", 200},
    {"DELETE /devices/d/modules/m",   ROUTE_MODULE_DELETE,     OP_MODULE_DELETE, "d", "m", 204},
    {"GET /twins/d",                  ROUTE_TWIN_GET,          OP_TWIN_GET,      "d", "",  200},
    {"PATCH /twins/d",                ROUTE_TWIN_PATCH,        OP_TWIN_PATCH,    "d", "",  200},
    {"PUT /twins/d",                  ROUTE_TWIN_PUT,          OP_TWIN_PUT,      "d", "",  200},
    {"GET /twins/d/modules/m%2B",     ROUTE_MODULE_TWIN_GET,   OP_TWIN_GET,      "d", "m+", 200},
    {"PATCH /twins/d/modules/m",      ROUTE_MODULE_TWIN_PATCH, OP_TWIN_PATCH,    "d", "m", 200},
    {"PUT /twins/d/modules/m",        ROUTE_MODULE_TWIN_PUT,   OP_TWIN_PUT,      "d", "m", 200},
  /* clang-format on */
};

TEST(a_call_is_the_operation_of_its_route_and_owns_its_bytes)
{
    for (size_t i = 0; i < COUNT(calls); i++) {
        const char *name = calls[i].line;
        for (int proven = 0; proven < 2; proven++) {
            struct rest_head head = {.route = calls[i].route, .authorised = proven};
            buf_clear(&t.out);
            buf_printf(&t.out,
                       "%s" V " HTTP/1.1\r\nHost: h\r\nAuthorization: token\r\n"
                       "Content-Length: 4\r\n\r\nbody",
                       name);
            rest_read(&http, setting_written(&t), true);
            struct call *c = rest_call(&http, &head, &t.arena);
            http_fini(&http);
            arena_reset(&t.arena);
            EXPECT(c);
            EXPECT_EQ_IN(name, c->route, calls[i].route);
            EXPECT_EQ_IN(name, c->op.kind, calls[i].kind);
            EXPECT_SPAN_IN(name, c->op.device, span_text(calls[i].device));
            EXPECT_SPAN_IN(name, c->op.module, span_text(calls[i].module));
            EXPECT_SPAN_IN(name, c->op.body, SPAN("body"));
            EXPECT_EQ_IN(name, c->op.has_if_match, false);
            EXPECT_EQ_IN(name, c->op.if_version, -1);
            EXPECT_EQ_IN(name, c->op.by_device, !proven);
            EXPECT_SPAN_IN(name, c->token, proven ? (struct span){0} : SPAN("token"));
            EXPECT_EQ_IN(name, rest_success(c->route), calls[i].success);
            call_destroy(c);
        }
    }
    call_destroy(NULL);
}

static const struct {
    const char *headers;
    bool has;
    const char *joined;
} if_matches[] = {
    {"",                                            false, ""            },
    {"If-Match: *\r\n",                             true,  "*"           },
    {"if-match: \"a\"\r\n",                         true,  "\"a\""       },
    {"If-Match: \"a\", \"b\"\r\n",                  true,  "\"a\", \"b\""},
    {"If-Match: a\r\nOther: x\r\nIF-MATCH: b\r\n",  true,  "a,b"         },
    {"If-Match:\r\nIf-Match: b\r\nIf-Match: c\r\n", true,  "b,c"         },
    {"If-Match:\r\n",                               true,  ""            },
};

TEST(every_if_match_header_counts)
{
    struct rest_head head = {.route = ROUTE_TWIN_PATCH, .authorised = true};
    for (size_t i = 0; i < COUNT(if_matches); i++) {
        buf_clear(&t.out);
        buf_printf(&t.out, "PATCH /twins/d" V " HTTP/1.1\r\nHost: h\r\n%s\r\n",
                   if_matches[i].headers);
        rest_read(&http, setting_written(&t), true);
        struct call *c = rest_call(&http, &head, &t.arena);
        EXPECT_EQ_IN(if_matches[i].headers, c->op.has_if_match, if_matches[i].has);
        EXPECT_SPAN_IN(if_matches[i].headers, c->op.if_match, span_text(if_matches[i].joined));
        EXPECT_EQ_IN(if_matches[i].headers, c->op.body.len, 0);
        call_destroy(c);
    }
}

TEST(a_call_that_does_not_fit_the_arena_comes_again)
{
    struct rest_head head = {.route = ROUTE_TWIN_GET, .authorised = true};
    buf_text(&t.out, "GET /twins/a%2Bb" V " HTTP/1.1\r\nHost: h\r\n\r\n");
    rest_read(&http, setting_written(&t), true);
    EXPECT(arena_bytes(&t.arena, arena_left(&t.arena)));
    EXPECT(!rest_call(&http, &head, &t.arena));
    arena_reset(&t.arena);
    struct call *c = rest_call(&http, &head, &t.arena);
    EXPECT(c);
    EXPECT_SPAN(c->op.device, SPAN("a+b"));
    call_destroy(c);
}

/* ---- an identity's own token ---- */

static const struct { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *name;
    enum route_id route;
    const char *device, *module;
    const char *resource, *key;
    bool allowed;
} owners[] = {
  /* clang-format off */
    {"a device lists its modules", ROUTE_MODULE_LIST, "d", NULL, HOST "/devices/d", KEY_A, true},
    {"by its second key", ROUTE_MODULE_LIST, "d", NULL, HOST "/devices/d", KEY_B, true},
    {"by another key", ROUTE_MODULE_LIST, "other", NULL, HOST "/devices/other", KEY_A, false},
    {"for another device", ROUTE_MODULE_LIST, "other", NULL, HOST "/devices/d", KEY_A, false},
    {"an unknown device", ROUTE_MODULE_LIST, "nobody", NULL, HOST "/devices/nobody", KEY_A, false},
    {"a device reads its module", ROUTE_MODULE_GET, "d", "m", HOST "/devices/d", KEY_A, true},
    {"a device makes a module", ROUTE_MODULE_PUT, "d", "none", HOST "/devices/d", KEY_A, true},
    {"a module does not read itself here", ROUTE_MODULE_GET, "d", "m", HOST "/devices/d/modules/m", KEY_B, false},
    {"a module of nobody", ROUTE_MODULE_GET, "nobody", "m", HOST "/devices/nobody", KEY_A, false},
    {"a disabled device", ROUTE_MODULE_LIST, "off", NULL, HOST "/devices/off", KEY_A, false},
    {"for its module", ROUTE_MODULE_GET, "off", "m", HOST "/devices/off", KEY_A, false},
    {"a module of a disabled device", ROUTE_MODULE_GET, "off", "m", HOST "/devices/off/modules/m", KEY_A, false},
    {"a route no identity may call", ROUTE_DEVICE_GET, "d", NULL, HOST "/devices/d", KEY_A, false},
    {"no token at all", ROUTE_MODULE_LIST, "d", NULL, NULL, NULL, false},
  /* clang-format on */
};

static struct live *known(const char *device, const char *module)
{
    struct live *l = fixture_find(&t.hub, device, module);
    if (!l)
        EXPECT_EQ(hub_admit(&t.hub.hub, span_text(device), span_text(module), NULL, &l), OK);
    return l;
}

TEST(an_identity_calls_for_itself_and_its_modules_only)
{
    fixture_put(&t.hub, "off", NULL, NULL, "{" DISABLED "," SAS(KEY_A, KEY_B) "}");
    fixture_put(&t.hub, "off", "m", NULL, "{" SAS(KEY_A, KEY_B) "}");
    for (size_t i = 0; i < COUNT(owners); i++) {
        buf_clear(&t.out);
        if (owners[i].resource)
            put_token(&t, &t.out, owners[i].resource, owners[i].key, NULL);
        struct call c = {
            .route = owners[i].route,
            .token = setting_written(&t),
            .op = {.device = span_text(owners[i].device), .module = span_text(owners[i].module)}
        };
        struct live *module = owners[i].module ? known(owners[i].device, owners[i].module) : NULL;
        EXPECT_EQ_IN(owners[i].name,
                     rest_authorise(&c, &t.rules, t.hub.hub.nobody, known(owners[i].device, NULL),
                                    module, t.hub.now.wall_ms),
                     owners[i].allowed ? OK : UNAUTHORIZED);
    }
}

/* ---- answers ---- */

#define ID "x-ms-request-id: 00010203-0405-4607-8809-0a0b0c0d0e0f\r\n"
#define E1(label, text)                                                                          \
    "{\"Message\":\"ErrorCode:" label ";" text "\",\"ExceptionMessage\":\"Tracking ID:" TRACKING \
    "\"}"

static const struct {
    const char *name;
    struct rest_answer answer;
    const char *method;    /* of the request; NULL: it could not be read */
    const char *client_id; /* it sent; NULL: none */
    const char *want;
} rest_answers[] = {
  /* clang-format off */
    {"a body", {.status = 200, .body = SPAN_INIT("{}")}, "GET", NULL,
     "HTTP/1.1 200 OK\r\n" ID "Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"},
    {"with its etag", {.status = 200, .body = SPAN_INIT("{}"), .etag = SPAN_INIT("AAAAAAAAAAE=")}, "GET", NULL,
     "HTTP/1.1 200 OK\r\n" ID "ETag: \"AAAAAAAAAAE=\"\r\nContent-Type: application/json; charset=utf-8\r\n"
     "Content-Length: 2\r\n\r\n{}"},
    {"of another type", {.status = 200, .body = SPAN_INIT("x 1\n"), .content_type = SPAN_INIT("text/plain")}, "GET", NULL,
     "HTTP/1.1 200 OK\r\n" ID "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nx 1\n"},
    {"nothing", {.status = 204}, "DELETE", NULL, "HTTP/1.1 204 No Content\r\n" ID "\r\n"},
    {"the client's id comes back", {.status = 204}, "DELETE", "4711 / a",
     "HTTP/1.1 204 No Content\r\n" ID "x-ms-client-request-id: 4711 / a\r\n\r\n"},
    {"but not with other bytes", {.status = 204}, "DELETE", "4711\xc3\xa4", "HTTP/1.1 204 No Content\r\n" ID "\r\n"},
    {"nor with a tab", {.status = 204}, "DELETE", "a\tb", "HTTP/1.1 204 No Content\r\n" ID "\r\n"},
    {"a refusal", {.st = NO_DEVICE, .why = SPAN_INIT("pump-99"), .etag = SPAN_INIT("x"), .content_type = SPAN_INIT("text/plain")},
     "GET", NULL,
     "HTTP/1.1 404 Not Found\r\n" ID "iothub-errorcode: DeviceNotFound\r\n"
     "Content-Type: application/json; charset=utf-8\r\nContent-Length: 146\r\n\r\n" E1("DeviceNotFound", "pump-99")},
    {"and the end of the connection", {.st = UNAUTHORIZED, .close = true}, NULL, NULL,
     "HTTP/1.1 401 Unauthorized\r\n" ID "iothub-errorcode: IotHubUnauthorizedAccess\r\n"
     "Content-Type: application/json; charset=utf-8\r\nContent-Length: 161\r\nConnection: close\r\n\r\n"
     E1("IotHubUnauthorizedAccess", "Unauthorized")},
    {"to HEAD: no body", {.st = BAD_METHOD}, "HEAD", NULL,
     "HTTP/1.1 405 Method Not Allowed\r\n" ID "iothub-errorcode: GenericMethodNotAllowed\r\n"
     "Content-Type: application/json; charset=utf-8\r\nContent-Length: 183\r\n\r\n"},
    {"what no peer should see is 400", {.st = NOT_FOUND}, "GET", NULL,
     "HTTP/1.1 400 Bad Request\r\n" ID "iothub-errorcode: None\r\n"
     "Content-Type: application/json; charset=utf-8\r\nContent-Length: 143\r\n\r\n" E1("None", "no such record")},
    {"a bulk result with errors", {.status = 200, .body = SPAN_INIT("{}"), .bulk_failed = true}, "POST", NULL,
     "HTTP/1.1 400 Bad Request\r\n" ID "iothub-errorcode: BulkRegistryOperationFailure\r\n"
     "IotHubErrorCode: BulkRegistryOperationFailure\r\nContent-Type: application/json; charset=utf-8\r\n"
     "Content-Length: 2\r\n\r\n{}"},
  /* clang-format on */
};

TEST(answers_are_these_bytes)
{
    for (size_t i = 0; i < COUNT(rest_answers); i++) {
        struct buf request = {0};
        buf_printf(&request, "%s / HTTP/1.1\r\nHost: h\r\n",
                   rest_answers[i].method ? rest_answers[i].method : "GET");
        if (rest_answers[i].client_id)
            buf_printf(&request, "X-MS-Client-Request-Id: %s\r\n", rest_answers[i].client_id);
        buf_text(&request, "\r\n");
        rest_read(&http, buf_span(&request), true);
        buf_clear(&t.out);
        rest_put_answer(&t.out, &rest_answers[i].answer, rest_answers[i].method ? &http : NULL,
                        t.hub.now, t.random);
        EXPECT_SPAN_IN(rest_answers[i].name, setting_written(&t), span_text(rest_answers[i].want));
        buf_fini(&request);
    }
}

TEST(a_client_id_of_more_than_256_bytes_is_not_echoed)
{
    for (size_t len = 256; len <= 257; len++) {
        struct buf request = {0};
        buf_text(&request, "GET / HTTP/1.1\r\nHost: h\r\nx-ms-client-request-id: ");
        for (size_t i = 0; i < len; i++)
            buf_byte(&request, 'a');
        buf_text(&request, "\r\n\r\n");
        rest_read(&http, buf_span(&request), true);
        struct rest_answer answer = {.status = 204};
        buf_clear(&t.out);
        rest_put_answer(&t.out, &answer, &http, t.hub.now, t.random);
        EXPECT_EQ(fixture_contains(setting_written(&t), "client-request-id"), len == 256);
        buf_fini(&request);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(CASE(a_head_is_judged_in_this_order), CASE(a_token_that_has_expired_opens_nothing),
          CASE(a_call_is_the_operation_of_its_route_and_owns_its_bytes),
          CASE(every_if_match_header_counts), CASE(a_call_that_does_not_fit_the_arena_comes_again),
          CASE(an_identity_calls_for_itself_and_its_modules_only), CASE(answers_are_these_bytes),
          CASE(a_client_id_of_more_than_256_bytes_is_not_echoed))
