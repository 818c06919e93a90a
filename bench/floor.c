/* floor — a server that answers a device's packets without doing anything, one thread on epoll.
 *
 *   floor ADDRESS:PORT [BYTES]
 *
 * A patch of reported properties is answered with 204, a GET with 200 and a body of BYTES, any
 * other QoS 1 publish with PUBACK only. What it reaches is what sockets and packets alone cost.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process.h"
#include "service.h"
#include "wire/mqtt.h"

enum { EVENTS_MAX = 256, READ_MAX = 65536, PACKET_MAX = 1 << 20 };

struct conn {
    int fd;
    struct buf in, out;
};

static int epoll;
static struct span get_body;
static uint8_t scratch[READ_MAX];

/* ---- packets ---- */

/* The bytes between `$rid=` and the next `&`. */
static struct span request_id(struct span topic)
{
    const uint8_t *at = memmem(topic.data, topic.len, "$rid=", 5);
    if (!at)
        return (struct span){0};
    struct span rest = span_skip(topic, (size_t)(at - topic.data) + 5);
    return span_first(rest, span_index(rest, '&'));
}

static void respond(struct conn *c, const char *status, struct span topic, const char *more,
                    struct span body)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "$iothub/twin/res/%s/?$rid=%.*s%s", status,
                     SPAN_ARG(span_first(request_id(topic), 256)), more);
    mqtt_publish_encode(&c->out,
                        &(struct mqtt_publish){.topic = span_of(text, (size_t)n), .payload = body});
}

static void on_publish(struct conn *c, const struct mqtt_packet *packet)
{
    struct mqtt_publish p;
    if (mqtt_publish_decode(packet, &p) != OK)
        return;
    if (p.qos)
        mqtt_puback_encode(&c->out, p.packet_id);
    if (span_starts(p.topic, SPAN("$iothub/twin/PATCH/")))
        respond(c, "204", p.topic, "&$version=100000", (struct span){0});
    else if (span_starts(p.topic, SPAN("$iothub/twin/GET/")))
        respond(c, "200", p.topic, "", get_body);
}

static void on_packet(struct conn *c, const struct mqtt_packet *p)
{
    struct mqtt_filters filters;
    switch (p->type) {
    case MQTT_CONNECT:
        mqtt_connack_encode(&c->out, false, MQTT_ACCEPTED);
        return;
    case MQTT_SUBSCRIBE:
        if (mqtt_subscribe_decode(p, &filters) == OK)
            mqtt_suback_encode(&c->out, filters.packet_id,
                               span_of((const uint8_t[16]){0}, filters.count % 16));
        return;
    case MQTT_PINGREQ:
        mqtt_pingresp_encode(&c->out);
        return;
    case MQTT_PUBLISH:
        on_publish(c, p);
        return;
    default:
        return;
    }
}

static size_t feed(struct conn *c, struct span in)
{
    size_t total = 0, used;
    struct mqtt_packet p;
    while (mqtt_decode(span_skip(in, total), PACKET_MAX, &p, &used) == OK) {
        on_packet(c, &p);
        total += used;
    }
    return total;
}

/* ---- sockets ---- */

static void watch(struct conn *c, int op)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (c->out.len)
        e.events |= EPOLLOUT;
    if (epoll_ctl(epoll, op, c->fd, &e) != 0)
        process_fail("epoll: %s", strerror(errno));
}

static void drop(struct conn *c)
{
    close(c->fd);
    buf_fini(&c->in);
    buf_fini(&c->out);
    free(c);
}

static void flush(struct conn *c, bool waited)
{
    if (c->out.len) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
        if (n > 0)
            buf_consume(&c->out, (size_t)n);
    }
    if (waited != (c->out.len > 0))
        watch(c, EPOLL_CTL_MOD);
}

static void on_event(struct conn *c, uint32_t events)
{
    bool waited = c->out.len > 0;
    if (events & ~(uint32_t)EPOLLOUT) {
        ssize_t n = recv(c->fd, scratch, sizeof(scratch), 0);
        if (n <= 0) {
            drop(c);
            return;
        }
        struct span bytes = span_of(scratch, (size_t)n);
        if (c->in.len == 0) {
            buf_put(&c->in, span_skip(bytes, feed(c, bytes)));
        } else {
            buf_put(&c->in, bytes);
            buf_consume(&c->in, feed(c, buf_span(&c->in)));
        }
    }
    flush(c, waited);
}

static void on_connection(int listener)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int one = 1;
        struct conn *c = calloc(1, sizeof(*c));
        if (!c)
            check_no_memory();
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        watch(c, EPOLL_CTL_ADD);
    }
}

static int listen_at(const char *address)
{
    struct sockaddr_in at = service_address(address);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 4096) != 0)
        process_fail("%s: %s", address, strerror(errno));
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        process_fail("epoll: %s", strerror(errno));
    return fd;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    if (argc < 2) {
        fprintf(stderr, "usage: floor ADDRESS:PORT [BYTES]\n");
        return 2;
    }
    size_t body_len = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    uint8_t *body = malloc(body_len + 1);
    if (!body)
        check_no_memory();
    memset(body, ' ', body_len + 1);
    get_body = span_of(body, body_len);
    process_raise_files();
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_at(argv[1]);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
            else
                on_connection(listener);
        }
    }
}
