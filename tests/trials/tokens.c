/* Tokens, right and wrong, against a running hub (trials F28): each case of token_cases.py as the
 * password of CONNECT and as the Authorization of a REST call, and no wrong verdict.
 *
 *   tokens TWINHUB PYTHON TOKEN_CASES [COUNT] [SEED]
 *
 * By MQTT a token is for its device or module; by REST only the owner's opens a twin.
 */
#include "peer.h"

#include "base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char host[] = "hub.example.test";
static const char owner_key[] = "b3duZXIga2V5IGZvciB0aGUgdG9rZW4gdHJpYWw="; /* of the test's hub */

enum verdict_of_case { REFUSED, IDENTITY, OWNER };
static const char *const verdicts[] = {"REFUSED", "IDENTITY", "OWNER"};

struct token_case {
    char name[64];
    struct buf token, device, module;
    enum verdict_of_case want;
};

struct trial {
    struct hub hub;
    unsigned mqtt, rest, accepted, wrong_accepts, wrong_refusals;
};

/* ---- reading cases ---- */

static void read_hex(const char *field, struct buf *out)
{
    size_t len = 0, room = strlen(field) / 2;
    buf_clear(out);
    buf_reserve(out, room + 1);
    if (strcmp(field, "-") != 0 && !text_hex(span_text(field), out->data, room, &len))
        process_fail("not hex: %s", field);
    out->len = len;
    out->data[len] = 0;
}

static size_t split(char *line, char *fields[], size_t max)
{
    size_t n = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *at = line; at && n < max; n++)
        fields[n] = strsep(&at, "\t");
    return n;
}

static void put_path(struct buf *out, const char *kind, struct span device, struct span module)
{
    const struct span ids[] = {device, module};
    buf_printf(out, "/%s", kind);
    for (size_t i = 0; i < COUNT(ids) && ids[i].len; i++) {
        buf_text(out, i ? "/modules/" : "/");
        for (size_t c = 0; c < ids[i].len; c++)
            buf_printf(out, "%%%02X", ids[i].data[c]);
    }
    buf_text(out, "?api-version=2021-04-12");
    buf_byte(out, 0);
}

static void put_text(struct buf *out, const char *name, struct span text)
{
    buf_printf(out, "\"%s\":", name);
    text_put_json(out, text);
}

/* I DEVICE MODULE KIND KEY1 KEY2 */
static void create(struct trial *t, char *const fields[])
{
    struct buf id[2] = {{0}}, key[2] = {{0}}, path = {0}, body = {0};
    struct span answer;
    read_hex(fields[1], &id[0]);
    read_hex(fields[2], &id[1]);
    read_hex(fields[4], &key[0]);
    read_hex(fields[5], &key[1]);
    put_path(&path, "devices", buf_span(&id[0]), buf_span(&id[1]));
    buf_byte(&body, '{');
    put_text(&body, "deviceId", buf_span(&id[0]));
    if (id[1].len) {
        buf_byte(&body, ',');
        put_text(&body, "moduleId", buf_span(&id[1]));
    }
    buf_text(&body, ",\"authentication\":{\"type\":\"sas\",\"symmetricKey\":{\"primaryKey\":\"");
    text_put_base64(&body, buf_span(&key[0]));
    buf_text(&body, "\",\"secondaryKey\":\"");
    text_put_base64(&body, buf_span(&key[1]));
    buf_text(&body, "\"}}}");
    int http = service_call(&t->hub.service, "PUT", (char *)path.data, buf_span(&body), &answer);
    if (http != 200)
        process_fail("PUT %s: %d %.*s", (char *)path.data, http, SPAN_ARG(answer));
    for (int i = 0; i < 2; i++) {
        buf_fini(&id[i]);
        buf_fini(&key[i]);
    }
    buf_fini(&path);
    buf_fini(&body);
}

/* ---- trying one ---- */

static void judge(struct trial *t, const struct token_case *c, const char *way, bool opened,
                  bool should)
{
    t->accepted += opened;
    if (opened == should)
        return;
    t->wrong_accepts += opened;
    t->wrong_refusals += should;
    printf("WRONG  %s by %s: %s, should be %s: %.*s\n", c->name, way,
           opened ? "accepted" : "refused", verdicts[c->want], SPAN_ARG(buf_span(&c->token)));
}

static void try_mqtt(struct trial *t, const struct token_case *c)
{
    struct buf id = {0}, user = {0}, out = {0};
    struct mqtt_packet packet;
    struct peer p;
    bool present;
    uint8_t code = 255;
    buf_put(&id, buf_span(&c->device));
    if (c->module.len)
        buf_printf(&id, "/%s", (char *)c->module.data);
    buf_printf(&user, "%s/", host);
    buf_put(&user, buf_span(&id));
    buf_text(&user, "/?api-version=2021-04-12");
    mqtt_connect_encode(&out, &(struct mqtt_connect){.version = MQTT_VERSION_3_1_1,
                                                     .has_username = true,
                                                     .has_password = true,
                                                     .client_id = buf_span(&id),
                                                     .username = buf_span(&user),
                                                     .password = buf_span(&c->token)});
    if (!peer_dial(&p, &t->hub, HUB_MQTT, 0))
        process_fail("the hub does not accept");
    peer_send(&p, buf_span(&out));
    if (peer_packet(&p, &packet, 5000) && packet.type == MQTT_CONNACK &&
        mqtt_connack_decode(&packet, &present, &code) != OK)
        code = 255;
    judge(t, c, "MQTT", code == 0, c->want != REFUSED);
    t->mqtt++;
    peer_close(&p);
    buf_fini(&id);
    buf_fini(&user);
    buf_fini(&out);
}

static void try_rest(struct trial *t, const struct token_case *c)
{
    struct buf path = {0}, out = {0};
    struct peer p;
    /* A header cannot carry these; and what HTTP strips at its ends is not the token's. */
    for (size_t i = 0; i < c->token.len; i++)
        if (c->token.data[i] < 0x20 || c->token.data[i] == 0x7f)
            return;
    if (c->token.len && (c->token.data[0] == ' ' || c->token.data[c->token.len - 1] == ' '))
        return;
    put_path(&path, "twins", buf_span(&c->device), buf_span(&c->module));
    buf_printf(&out, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: ",
               (char *)path.data, host);
    buf_put(&out, buf_span(&c->token));
    buf_text(&out, "\r\n\r\n");
    if (!peer_dial(&p, &t->hub, HUB_HTTP, 0))
        process_fail("the hub does not accept");
    peer_send(&p, buf_span(&out));
    int status = peer_http_status(&p, 5000);
    if (status != 200 && status != 401)
        printf("       %s: %d\n", c->name, status);
    judge(t, c, "REST", status == 200 || status == 404, c->want == OWNER);
    t->rest++;
    peer_close(&p);
    buf_fini(&path);
    buf_fini(&out);
}

/* C NAME TOKEN DEVICE MODULE VERDICT */
static void try_case(struct trial *t, char *const fields[])
{
    static struct token_case c;
    snprintf(c.name, sizeof(c.name), "%s", fields[1]);
    read_hex(fields[2], &c.token);
    read_hex(fields[3], &c.device);
    read_hex(fields[4], &c.module);
    for (c.want = REFUSED; c.want < OWNER && strcmp(fields[5], verdicts[c.want]) != 0;)
        c.want++;
    if (!c.device.len) /* the hub itself: of no use to either */
        return;
    try_mqtt(t, &c);
    try_rest(t, &c);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        process_fail("usage: tokens TWINHUB PYTHON TOKEN_CASES [COUNT] [SEED]");
    static struct trial t;
    const char *const settings[] = {"--owner-key", owner_key,     "--host", host,
                                    "--host",      "Hub-2.local", NULL};
    char command[1024], *line = NULL, *fields[8];
    size_t room = 0;
    hub_create(&t.hub, argv[1]);
    hub_start(&t.hub, settings);
    snprintf(command, sizeof(command), "%s %s %s %s %s", argv[2], argv[3], owner_key,
             argc > 4 ? argv[4] : "600", argc > 5 ? argv[5] : "28");
    FILE *f = popen(command, "re");
    if (!f)
        process_fail("%s: %s", command, strerror(errno));
    while (getline(&line, &room, f) > 0) {
        size_t n = split(line, fields, COUNT(fields));
        if (n != 6)
            process_fail("not a case: %s", line);
        if (fields[0][0] == 'I')
            create(&t, fields);
        else
            try_case(&t, fields);
    }
    verdict_that("the cases could be made", pclose(f) == 0 && t.mqtt > 0 && t.rest > 0);
    printf("       %u tokens by MQTT, %u by REST; %u accepted\n", t.mqtt, t.rest, t.accepted);
    verdict("wrong accepts", t.wrong_accepts, "", 0);
    verdict("wrong refusals", t.wrong_refusals, "", 0);
    verdict_that("some were accepted", t.accepted > t.mqtt / 10);
    verdict_that("the hub ends with exit code 0", hub_end(&t.hub, SIGTERM) == 0);
    hub_destroy(&t.hub);
    free(line);
    return verdict_exit();
}
