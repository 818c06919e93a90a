#include "service.h"

#include "auth/sas.h"
#include "base/text.h"
#include "devices.h"
#include "process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct sockaddr_in service_address(const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct span all = span_text(text), host = span_first(all, span_index(all, ':'));
    char name[64];
    uint64_t port = 0;
    snprintf(name, sizeof(name), "%.*s", SPAN_ARG(host));
    if (host.len == all.len || inet_pton(AF_INET, name, &a.sin_addr) != 1 ||
        !text_u64(span_skip(all, host.len + 1), &port) || port > 65535)
        process_fail("\"%s\" is not an address like 127.0.0.1:1883", text);
    a.sin_port = htons((uint16_t)port);
    return a;
}

/* ---- the connection string ---- */

/* The value of one field of `Name=value;Name=value`. */
static struct span field(struct span text, struct span name)
{
    while (text.len) {
        struct span pair = span_first(text, span_index(text, ';'));
        if (span_starts(pair, name) && pair.len > name.len && pair.data[name.len] == '=')
            return span_skip(pair, name.len + 1);
        text = span_skip(text, pair.len < text.len ? pair.len + 1 : pair.len);
    }
    return (struct span){0};
}

void service_open(struct service *s, struct sockaddr_in to, const char *connection)
{
    char text[1024];
    uint8_t key[64];
    size_t key_len;
    *s = (struct service){.to = to, .fd = -1};
    FILE *f = fopen(connection, "re");
    if (!f)
        process_fail("%s: %s", connection, strerror(errno));
    struct span all = span_of(text, fread(text, 1, sizeof(text), f));
    fclose(f);
    struct span host = field(all, SPAN("HostName"));
    host = span_first(host, span_index(host, ':'));
    if (!host.len || !text_base64(field(all, SPAN("SharedAccessKey")), key, sizeof(key), &key_len))
        process_fail("%s holds no service connection string", connection);
    buf_put(&s->host, host);
    buf_byte(&s->host, 0);
    sas_make(&s->token, host, span_of(key, key_len), time(NULL) + SERVICE_TOKEN_S,
             field(all, SPAN("SharedAccessKeyName")));
}

void service_fini(struct service *s)
{
    if (s->fd >= 0)
        close(s->fd);
    buf_fini(&s->host);
    buf_fini(&s->token);
    buf_fini(&s->request);
    buf_fini(&s->body);
    buf_fini(&s->response);
}

/* ---- one call ---- */

static void dial(struct service *s)
{
    if (s->fd >= 0)
        return;
    int one = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&s->to, sizeof(s->to)) != 0)
        process_fail("the hub's REST listener: %s", strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void send_all(int fd, struct span bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0)
            process_fail("REST: %s", strerror(errno));
        bytes = span_skip(bytes, (size_t)n);
    }
}

static void receive(struct service *s)
{
    buf_reserve(&s->response, 65536);
    ssize_t n = recv(s->fd, s->response.data + s->response.len, 65536, 0);
    if (n <= 0)
        process_fail("REST: the hub closed the connection");
    s->response.len += (size_t)n;
}

/* Where the headers end, the empty line included; 0 when they have not all arrived. */
static size_t head_end(struct span in)
{
    const uint8_t *at = in.len ? memmem(in.data, in.len, "\r\n\r\n", 4) : NULL;
    return at ? (size_t)(at - in.data) + 4 : 0;
}

/* The hub always sends a length. */
static size_t body_len(struct span head)
{
    for (struct span line; head.len; head = span_skip(head, line.len)) {
        line = span_first(head, span_index(head, '\n') + 1);
        struct span name = span_first(line, 15);
        if (!span_eq_nocase(name, SPAN("content-length:")))
            continue;
        return strtoul((const char *)line.data + 15, NULL, 10);
    }
    return 0;
}

int service_call(struct service *s, const char *method, const char *path, struct span request,
                 struct span *body)
{
    dial(s);
    buf_clear(&s->request);
    buf_printf(&s->request,
               "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %.*s\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               method, path, (const char *)s->host.data, SPAN_ARG(buf_span(&s->token)),
               request.len);
    buf_put(&s->request, request);
    send_all(s->fd, buf_span(&s->request));
    buf_clear(&s->response);
    size_t head;
    do
        receive(s);
    while (!(head = head_end(buf_span(&s->response))));
    size_t len = body_len(span_first(buf_span(&s->response), head));
    while (s->response.len < head + len)
        receive(s);
    if (body)
        *body = span_skip(buf_span(&s->response), head);
    return s->response.len > 12 ? atoi((const char *)s->response.data + 9) : 0;
}

/* ---- bulk ---- */

static void bulk(struct service *s)
{
    struct span answer;
    int http =
        service_call(s, "POST", "/devices?api-version=2021-04-12", buf_span(&s->body), &answer);
    if (http != 200)
        process_fail("POST /devices: %d %.*s", http, SPAN_ARG(span_first(answer, 400)));
}

void service_create_devices(struct service *s, const char *prefix, uint32_t first, uint32_t count,
                            const char *desired)
{
    for (uint32_t at = first; at < first + count;) {
        buf_clear(&s->body);
        for (unsigned n = 0; n < SERVICE_BULK_MAX && at < first + count; n++, at++) {
            char id[32];
            uint8_t key[32];
            device_id(prefix, at, id);
            device_key(id, key);
            buf_printf(&s->body, "%c{\"id\":\"%s\",\"importMode\":\"createOrUpdate\",",
                       n ? ',' : '[', id);
            buf_text(&s->body, "\"status\":\"enabled\",\"authentication\":{\"type\":\"sas\","
                               "\"symmetricKey\":{\"primaryKey\":\"");
            text_put_base64(&s->body, span_of(key, sizeof(key)));
            buf_text(&s->body, "\",\"secondaryKey\":\"");
            text_put_base64(&s->body, span_of(key, sizeof(key)));
            buf_printf(&s->body, "\"}},\"properties\":{\"desired\":%s}}", desired);
        }
        buf_byte(&s->body, ']');
        bulk(s);
    }
}

void service_mark_devices(struct service *s, const char *prefix, uint32_t first, uint32_t count,
                          unsigned round, size_t pad)
{
    buf_clear(&s->body);
    for (uint32_t n = 0; n < count; n++) {
        char id[32];
        device_id(prefix, first + n, id);
        buf_printf(&s->body,
                   "%c{\"id\":\"%s\",\"importMode\":\"updateTwin\",\"properties\":{\"desired\":"
                   "{\"mark\":\"%s\",\"round\":%u,\"pad\":\"",
                   n ? ',' : '[', id, id, round);
        buf_reserve(&s->body, pad);
        memset(s->body.data + s->body.len, 'x', pad);
        s->body.len += pad;
        buf_text(&s->body, "\"}}}");
    }
    buf_byte(&s->body, ']');
    bulk(s);
}
