#include "hub.h"

#include "base/text.h"
#include "devices.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 20000, RSA_MS = 30000, MANY = 20 };

int64_t now_ns(void)
{
    return devices_now();
}

void sleep_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* ---- life ---- */

void hub_create(struct hub *h, const char *program)
{
    const char *tmp = getenv("TMPDIR");
    *h = (struct hub){.program = program};
    unsigned self = (unsigned)getpid();
    snprintf(h->bind, sizeof(h->bind), "127.%u.%u.61", 64 + self / 256 % 128, self % 256);
    snprintf(h->root, sizeof(h->root), "%.40s/trial-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(h->root))
        process_fail("%s: %s", h->root, strerror(errno));
    snprintf(h->data, sizeof(h->data), "%s/data", h->root);
    snprintf(h->log, sizeof(h->log), "%s/log", h->root);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    /* A sanitized hub: what it frees goes back soon, or its memory tells nothing. */
    char options[512];
    const char *given = getenv("ASAN_OPTIONS");
    snprintf(options, sizeof(options), "%s:quarantine_size_mb=1:thread_local_quarantine_size_kb=16",
             given ? given : "");
    setenv("ASAN_OPTIONS", options, 1);
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void hub_destroy(struct hub *h)
{
    if (h->pid)
        hub_end(h, SIGKILL);
    nftw(h->root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

struct sockaddr_in hub_address(const struct hub *h, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, h->bind, &a.sin_addr) != 1)
        process_fail("%s is no address", h->bind);
    return a;
}

static bool answers(const struct hub *h)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct sockaddr_in to = hub_address(h, HUB_HTTP);
    char answer[16] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
              send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 &&
              recv(fd, answer, sizeof(answer) - 1, 0) > 12 &&
              strncmp(answer, "HTTP/1.1 200", 12) == 0;
    close(fd);
    return ok;
}

static void run(struct hub *h, const char *const *settings)
{
    char ports[4][8];
    snprintf(ports[0], sizeof(ports[0]), "%d", HUB_MQTTS);
    snprintf(ports[1], sizeof(ports[1]), "%d", HUB_HTTPS);
    snprintf(ports[2], sizeof(ports[2]), "%d", HUB_MQTT);
    snprintf(ports[3], sizeof(ports[3]), "%d", HUB_HTTP);
    const char *const own[] = {h->program, "serve",  "--data",   h->data,  "--bind", h->bind,
                               "--mqtts",  ports[0], "--https",  ports[1], "--mqtt", ports[2],
                               "--http",   ports[3], "--shards", "2"};
    const char *argv[(size_t)3 * HUB_ARGS_MAX + COUNT(own)] = {0};
    size_t n = 0;
    for (size_t i = 0; h->trace && h->trace[i] && i < HUB_ARGS_MAX; i++)
        argv[n++] = h->trace[i];
    for (size_t i = 0; i < COUNT(own); i++)
        argv[n++] = own[i];
    for (size_t i = 0; settings && settings[i] && i < HUB_ARGS_MAX; i++)
        argv[n++] = settings[i];
    h->pid = process_start(argv, h->log_to ? h->log_to : h->log);
}

static _Noreturn void not_started(const struct hub *h, int code)
{
    struct buf log = hub_file(h, "log");
    process_fail("the hub does not start (%d): %.*s", code, SPAN_ARG(buf_span(&log)));
}

int hub_try(struct hub *h, const char *const *settings)
{
    int64_t began = now_ns();
    run(h, settings);
    while (!answers(h)) {
        int code = hub_wait(h, 2);
        if (code >= 0)
            return code;
        if (now_ns() - began > START_MS * INT64_C(1000000))
            not_started(h, code);
    }
    h->ready_ms = (now_ns() - began) / 1000000;
    char connection[128];
    snprintf(connection, sizeof(connection), "%s/connection-string", h->data);
    service_open(&h->service, hub_address(h, HUB_HTTP), connection);
    return -1;
}

int64_t hub_start(struct hub *h, const char *const *settings)
{
    int code = hub_try(h, settings);
    if (code >= 0)
        not_started(h, code);
    return h->ready_ms;
}

bool hub_is_sound(const struct hub *h)
{
    const char *const argv[] = {h->program, "check", "--data", h->data, NULL};
    int status = 0;
    pid_t pid = process_start(argv, h->log);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Its name for the library is in the program's dynamic section. */
bool hub_is_sanitized(const struct hub *h)
{
    struct buf program = {0};
    FILE *f = fopen(h->program, "re");
    for (size_t n = f ? 1 : 0; n > 0; program.len += n) {
        buf_reserve(&program, 1 << 20);
        n = fread(program.data + program.len, 1, 1 << 20, f);
    }
    if (f)
        fclose(f);
    bool found = program.len && (memmem(program.data, program.len, "libasan.so", 10) ||
                                 memmem(program.data, program.len, "libtsan.so", 10));
    buf_fini(&program);
    return found;
}

void hub_forget(const struct hub *h)
{
    CHECK(!h->pid);
    nftw(h->data, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static int ended(struct hub *h, int status)
{
    h->pid = 0;
    service_fini(&h->service);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int hub_end(struct hub *h, int signum)
{
    return ended(h, process_end(h->pid, signum));
}

int hub_wait(struct hub *h, int within_ms)
{
    for (int64_t until = now_ns() + within_ms * 1000000LL;; sleep_ms(1)) {
        int status;
        if (waitpid(h->pid, &status, WNOHANG) == h->pid)
            return ended(h, status);
        if (now_ns() >= until)
            return -1;
    }
}

/* ---- the registry ---- */

void hub_create_identity(struct hub *h, const char *device, const char *module)
{
    struct buf path = {0}, body = {0};
    struct span answer;
    uint8_t key[32];
    device_key(module ? module : device, key);
    buf_printf(&path, "/devices/%s", device);
    buf_printf(&body, "{\"deviceId\":\"%s\",", device);
    if (module) {
        buf_printf(&path, "/modules/%s", module);
        buf_printf(&body, "\"moduleId\":\"%s\",", module);
    }
    buf_text(&path, "?api-version=2021-04-12");
    buf_byte(&path, 0);
    buf_text(&body, "\"authentication\":{\"type\":\"sas\",\"symmetricKey\":{\"primaryKey\":\"");
    text_put_base64(&body, span_of(key, sizeof(key)));
    buf_text(&body, "\",\"secondaryKey\":\"");
    text_put_base64(&body, span_of(key, sizeof(key)));
    buf_text(&body, "\"}}}");
    int http = service_call(&h->service, "PUT", (char *)path.data, buf_span(&body), &answer);
    if (http != 200 && http != 409)
        process_fail("PUT %s: %d %.*s", (char *)path.data, http, SPAN_ARG(span_first(answer, 400)));
    buf_fini(&path);
    buf_fini(&body);
}

/* ---- what it leaves to be seen ---- */

struct buf hub_file(const struct hub *h, const char *name)
{
    struct buf out = {0};
    char path[200];
    if (strcmp(name, "log") == 0)
        snprintf(path, sizeof(path), "%s", h->log);
    else
        snprintf(path, sizeof(path), "%s/%s", h->data, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return out;
    for (size_t n = 1; n > 0; out.len += n) {
        buf_reserve(&out, 65536);
        n = fread(out.data + out.len, 1, 65536, f);
    }
    fclose(f);
    return out;
}

void hub_wait_rsa(const struct hub *h)
{
    bool there = false;
    for (int64_t until = now_ns() + RSA_MS * 1000000LL; !there && now_ns() < until; sleep_ms(20)) {
        struct buf pem = hub_file(h, "server-rsa.pem");
        there = pem.len > 0;
        buf_fini(&pem);
    }
}

/* /proc/PID/status, which stays readable when the process is not dumpable. */
struct hub_memory hub_memory(const struct hub *h)
{
    struct hub_memory m = {0};
    char path[64], line[128];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)h->pid);
    FILE *f = fopen(path, "re");
    if (!f)
        process_fail("%s: %s", path, strerror(errno));
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "VmSize:", 7) == 0)
            m.virtual = strtoll(line + 7, NULL, 10) * 1024;
        if (strncmp(line, "VmRSS:", 6) == 0)
            m.resident = strtoll(line + 6, NULL, 10) * 1024;
        if (strncmp(line, "RssAnon:", 8) == 0)
            m.anonymous = strtoll(line + 8, NULL, 10) * 1024;
    }
    fclose(f);
    return m;
}

int64_t hub_metric(struct hub *h, const char *name)
{
    struct span body;
    int64_t sum = -1;
    if (service_call(&h->service, "GET", "/metrics", (struct span){0}, &body) != 200)
        return -1;
    size_t len = strlen(name);
    for (struct span line; body.len; body = span_skip(body, line.len)) {
        line = span_first(body, span_index(body, '\n') + 1);
        if (!span_starts(line, span_text(name)) || line.len <= len || !strchr("{ ", line.data[len]))
            continue;
        const char *value = memrchr(line.data, ' ', line.len);
        if (value)
            sum = (sum < 0 ? 0 : sum) + strtoll(value, NULL, 10);
    }
    return sum;
}

/* ---- figures ---- */

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t percentile(int64_t *values, size_t n, double p)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof(*values), ascending);
    return values[(size_t)((double)(n - 1) * p / 100.0)];
}

static bool any_failed;

void verdict(const char *figure, double value, const char *unit, double limit)
{
    bool ok = value <= limit;
    any_failed |= !ok;
    printf("%-6s %-58s %10.2f %s (limit %.2f)\n", ok ? "ok" : "FAILED", figure, value, unit, limit);
}

void verdict_times(const char *figure, int64_t *ms, size_t n, double limit_ms)
{
    char which[80];
    snprintf(which, sizeof(which), "%s, p50", figure);
    verdict(which, (double)percentile(ms, n, 50), "ms", limit_ms);
    if (n < MANY)
        return;
    snprintf(which, sizeof(which), "%s, max", figure);
    verdict(which, (double)percentile(ms, n, 100), "ms", limit_ms);
}

void verdict_that(const char *claim, bool holds)
{
    any_failed |= !holds;
    printf("%-6s %s\n", holds ? "ok" : "FAILED", claim);
}

int verdict_exit(void)
{
    return any_failed ? 1 : 0;
}
