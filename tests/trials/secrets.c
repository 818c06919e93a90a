/* Secrets and log lines (trials F36, F37): keys, signatures and ids made of control characters go
 * through every path there is, with debug logging as JSON. Afterwards no secret stands in the log,
 * the metrics, an answer or the data directory; each line of the log is one JSON object without a
 * control character; the files are the owner's alone; a crash leaves no core.
 *
 *   secrets TWINHUB
 */
#include "peer.h"

#include "auth/sas.h"
#include "base/text.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Keys that are their own canaries: 32 bytes of text. */
static const char owner_key[] = "canary-of-the-owner-0123456789ab";
static const char device_keys[2][33] = {"canary-of-the-device-0123456789a",
                                        "canary-of-the-second-0123456789b"};
/* The texts to look for: each key raw, in base64 and in hex, and each signature that was sent. */
static struct buf needles[64];
static size_t needle_count;
static unsigned found;

static void add_needle(struct span text)
{
    if (needle_count < COUNT(needles))
        buf_put(&needles[needle_count++], text);
}

static void add_key(const char *key)
{
    struct buf text = {0};
    struct span raw = span_of(key, 32);
    add_needle(raw);
    text_put_base64(&text, raw);
    add_needle(span_first(buf_span(&text), 40)); /* however it ends */
    buf_clear(&text);
    text_put_hex(&text, raw);
    add_needle(buf_span(&text));
    buf_fini(&text);
}

/* A token, whose signature may then stand nowhere. */
static struct buf make_token(const char *resource, const char *key, int64_t expiry_s,
                             const char *policy)
{
    struct buf token = {0};
    sas_make(&token, span_text(resource), span_of(key, 32), expiry_s, span_text(policy));
    const char *sig = memmem(token.data, token.len, "sig=", 4);
    struct span rest =
        span_of(sig + 4, token.len - (size_t)((const uint8_t *)sig + 4 - token.data));
    add_needle(span_first(rest, 20));
    return token;
}

static void search(const char *where, struct span text)
{
    for (size_t i = 0; i < needle_count; i++) {
        if (!text.len || !memmem(text.data, text.len, needles[i].data, needles[i].len))
            continue;
        printf("WRONG  %s holds secret number %zu\n", where, i);
        found++;
    }
}

/* ---- what is said ---- */

/* One request by hand, its answer searched. */
static void request(struct hub *h, const char *head, struct span body)
{
    struct peer p;
    struct buf out = {0};
    if (!peer_dial(&p, h, HUB_HTTP, 0))
        process_fail("the hub does not accept");
    buf_printf(&out, "%s\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
               head, body.len);
    buf_put(&out, body);
    peer_send(&p, buf_span(&out));
    while (peer_receive(&p, 2000))
        continue;
    search("an answer", buf_span(&p.in));
    buf_fini(&out);
    peer_close(&p);
}

static void request_with(struct hub *h, const char *line, const struct buf *token, const char *body)
{
    struct buf head = {0};
    buf_printf(&head, "%s HTTP/1.1\r\nAuthorization: %.*s", line, SPAN_ARG(buf_span(token)));
    buf_byte(&head, 0);
    request(h, (char *)head.data, span_text(body));
    buf_fini(&head);
}

static void connect_with(struct hub *h, const char *id, const char *user, const struct buf *token)
{
    struct peer p;
    struct buf out = {0};
    struct mqtt_packet packet;
    if (!peer_dial(&p, h, HUB_MQTT, 0))
        process_fail("the hub does not accept");
    mqtt_connect_encode(&out, &(struct mqtt_connect){.version = MQTT_VERSION_3_1_1,
                                                     .has_username = true,
                                                     .has_password = true,
                                                     .client_id = span_text(id),
                                                     .username = span_text(user),
                                                     .password = buf_span(token)});
    peer_send(&p, buf_span(&out));
    peer_packet(&p, &packet, 1000);
    buf_fini(&out);
    peer_close(&p);
}

/* Ids made of what a terminal or a parser might act on, in REST paths and in CONNECT. */
static void odd_ids(struct hub *h, const struct buf *good)
{
    for (unsigned c = 1; c < 0xa0; c++) {
        char id[16], user[128], line[96];
        int n = c < 0x80 ? snprintf(id, sizeof(id), "a%cb", (int)c)
                         : snprintf(id, sizeof(id), "a%c%cb", 0xc2, (int)c);
        snprintf(user, sizeof(user), "localhost/%s/?api-version=2021-04-12&DeviceClientType=%s", id,
                 id);
        connect_with(h, n > 0 ? id : "", user, good);
        snprintf(line, sizeof(line), "GET /twins/a%%%02Xb?api-version=2021-04-12", c);
        request_with(h, line, good, "");
    }
    static const char *const marks[] = {"\xe2\x80\xae", "\xe2\x81\xa6",
                                        "\xef\xbb\xbf", "\xff\xfe",
                                        "\xed\xa0\x80", "\"}\n{\"level\":\"error\""};
    for (size_t i = 0; i < COUNT(marks); i++)
        connect_with(h, marks[i], marks[i], good);
}

static void say_all(struct hub *h)
{
    struct buf body = {0};
    int64_t later = time(NULL) + 3600;
    struct buf owner = make_token("localhost", owner_key, later, "iothubowner");
    struct buf expired = make_token("localhost", owner_key, 1000, "iothubowner");
    struct buf wrong = make_token("localhost", device_keys[0], later, "iothubowner");
    struct buf unknown = make_token("localhost", owner_key, later, "nobody");
    struct buf device = make_token("localhost/devices/canary", device_keys[0], later, "");
    struct buf second = make_token("localhost/devices/canary", device_keys[1], later, "");
    struct buf late = make_token("localhost/devices/canary", device_keys[0], 1000, "");
    struct buf other = make_token("localhost/devices/other", device_keys[0], later, "");
    struct buf malformed = {0};
    buf_printf(&malformed, "SharedAccessSignature sr=localhost&sig=%s&se=never", device_keys[1]);
    buf_text(&body, "{\"deviceId\":\"canary\",\"authentication\":{\"type\":\"sas\",");
    buf_text(&body, "\"symmetricKey\":{\"primaryKey\":\"");
    text_put_base64(&body, span_of(device_keys[0], 32));
    buf_text(&body, "\",\"secondaryKey\":\"");
    text_put_base64(&body, span_of(device_keys[1], 32));
    buf_text(&body, "\"}}}");
    if (service_call(&h->service, "PUT", "/devices/canary?api-version=2021-04-12", buf_span(&body),
                     NULL) != 200)
        process_fail("the device cannot be created");
    body.data[body.len - 1] = ','; /* from here on refused, with the keys in the body */
    buf_byte(&body, 0);
    const struct buf *const tokens[] = {&owner, &expired, &wrong, &unknown, &device, &malformed};
    static const char *const lines[] = {
        "PUT /devices/canary?api-version=2021-04-12", "PUT /devices/other?api-version=2021-04-12",
        "POST /devices?api-version=2021-04-12", "PATCH /twins/canary?api-version=2021-04-12",
        "GET /nothing?api-version=2021-04-12"};
    for (size_t t = 0; t < COUNT(tokens); t++)
        for (size_t l = 0; l < COUNT(lines); l++)
            request_with(h, lines[l], tokens[t], (char *)body.data);
    const struct buf *const passwords[] = {&device, &second, &late, &other, &owner, &malformed};
    for (size_t i = 0; i < COUNT(passwords); i++)
        connect_with(h, "canary", "localhost/canary/?api-version=2021-04-12", passwords[i]);
    odd_ids(h, &owner);
    odd_ids(h, &device);
    struct buf *const made[] = {&owner,  &expired, &wrong, &unknown,   &device,
                                &second, &late,    &other, &malformed, &body};
    for (size_t i = 0; i < COUNT(made); i++)
        buf_fini(made[i]);
}

/* ---- what is left ---- */

static void search_log(struct hub *h)
{
    struct buf log = hub_file(h, "log");
    struct span rest = buf_span(&log);
    unsigned lines = 0, bad = 0;
    /* What it prints for the person who starts it comes first, with the connection string. */
    const uint8_t *first = log.len ? memmem(log.data, log.len, "{\"", 2) : NULL;
    rest = first ? span_skip(rest, (size_t)(first - log.data)) : (struct span){0};
    search("the log", rest);
    for (struct span line; rest.len;
         rest = span_skip(rest, line.len < rest.len ? line.len + 1 : line.len)) {
        line = span_first(rest, span_index(rest, '\n'));
        bool ok = line.len > 2 && line.data[0] == '{' && line.data[line.len - 1] == '}' &&
                  text_is_utf8(line);
        for (size_t i = 0; ok && i < line.len; i++)
            ok = line.data[i] >= 0x20 && line.data[i] != 0x7f &&
                 !(line.data[i] == 0xc2 && line.data[i + 1] < 0xa0) &&
                 !(line.data[i] == 0xe2 && line.data[i + 1] == 0x80 && line.data[i + 2] >= 0xaa &&
                   line.data[i + 2] <= 0xae);
        bad += !ok;
        if (!ok && bad < 5)
            printf("WRONG  log line: %.*s\n", SPAN_ARG(line));
        lines++;
    }
    printf("       %u lines of log\n", lines);
    verdict("log lines that are not one clean line of JSON", bad, "", 0);
    verdict_that("the log says something", lines > 300);
    buf_fini(&log);
}

/* Every file of the data directory; the connection string is what its name says. */
static void search_files(struct hub *h)
{
    DIR *dir = opendir(h->data);
    unsigned open_files = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", h->data, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &st) != 0)
            continue;
        struct buf content = hub_file(h, e->d_name);
        if (strcmp(e->d_name, "connection-string") != 0)
            search(e->d_name, buf_span(&content));
        buf_fini(&content);
        size_t len = strlen(e->d_name);
        bool is_public = len > 4 && strcmp(e->d_name + len - 4, ".pem") == 0;
        if (!is_public && (st.st_mode & 077)) {
            printf("WRONG  %s has mode %o\n", e->d_name, st.st_mode & 0777);
            open_files++;
        }
    }
    struct stat st;
    verdict_that("the data directory is the owner's alone",
                 dir && stat(h->data, &st) == 0 && (st.st_mode & 077) == 0);
    verdict("files that others may read", open_files, "", 0);
    if (dir)
        closedir(dir);
}

/* Does a process that dies like this leave a core here at all? */
static bool cores_are_left(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGQUIT, SIG_DFL);
        raise(SIGQUIT);
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WCOREDUMP(status);
}

static void crash(struct hub *h)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &all);
    if (chdir(h->root) != 0 || !cores_are_left())
        printf("       this system leaves no cores: not tried\n");
    char path[128];
    snprintf(path, sizeof(path), "%s/core", h->root);
    unlink(path);
    hub_start(h, NULL);
    int status = process_end(h->pid, SIGQUIT);
    h->pid = 0;
    service_fini(&h->service);
    verdict_that("a crash leaves no core", WIFSIGNALED(status) && !WCOREDUMP(status));
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: secrets TWINHUB");
    struct hub hub;
    struct buf key = {0};
    struct span body;
    char program[4096];
    if (!realpath(argv[1], program)) /* the folder changes */
        process_fail("%s is not there", argv[1]);
    text_put_base64(&key, span_of(owner_key, 32));
    buf_byte(&key, 0);
    add_key(owner_key);
    add_key(device_keys[0]);
    add_key(device_keys[1]);
    const char *const settings[] = {"--log-level", "debug",          "--log-json",
                                    "--owner-key", (char *)key.data, NULL};
    hub_create(&hub, program);
    hub_start(&hub, settings);
    say_all(&hub);
    if (service_call(&hub.service, "GET", "/metrics", (struct span){0}, &body) == 200)
        search("/metrics", body);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    search_log(&hub);
    search_files(&hub);
    verdict("secrets found", found, "", 0);
    crash(&hub);
    hub_destroy(&hub);
    buf_fini(&key);
    for (size_t i = 0; i < needle_count; i++)
        buf_fini(&needles[i]);
    return verdict_exit();
}
