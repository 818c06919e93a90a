#include "kill_load.h"

#include "auth/sas.h"
#include "base/test.h"
#include "base/text.h"
#include "devices.h"
#include "wire/mqtt.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SERVICES = 16,
    PEERS = LOAD_TWINS + SERVICES,
    IN_FLIGHT = 4,
    READ_EVERY = 9, /* patches to one read of the twin */
    READ_MAX = 65536,
    SHOWN = 20, /* wrongs that are printed */
    DRAIN_MS = 10000,
};

enum peer_state { OFF, CONNECTING, SUBSCRIBING, OPEN };

/* A request under way: a write, or a read of the twin (n is 0). */
struct request {
    uint32_t n, rid;
    bool acked; /* by PUBACK; its answer is still to come */
    uint16_t packet_id;
    struct history_mark since;
};

struct peer {
    struct load *load;
    struct load_twin *twin; /* of a service: while it is being patched */
    bool is_device;
    enum peer_state state;
    int fd;
    struct buf in, out;
    struct request requests[IN_FLIGHT]; /* the oldest first */
    unsigned count, written;
    uint16_t packet_id;
};

void load_wrong(struct load *l, const struct load_twin *t, const struct buf *why)
{
    if (l->wrong++ >= SHOWN)
        return;
    printf("WRONG  %s/%s: %.*s\n", t ? t->device : "", t ? t->module : "", SPAN_ARG(buf_span(why)));
}

static void wrong_text(struct peer *p, const char *what, struct span detail)
{
    struct buf why = {0};
    buf_printf(&why, "%s: %.*s", what, SPAN_ARG(span_first(detail, 300)));
    load_wrong(p->load, p->twin, &why);
    buf_fini(&why);
}

/* ---- life ---- */

void load_init(struct load *l, struct hub *hub, uint64_t seed)
{
    *l = (struct load){.hub = hub, .seed = seed, .next_unit = 1};
    l->peers = calloc(PEERS, sizeof(*l->peers));
    if (!l->peers)
        check_no_memory();
    for (unsigned i = 0; i < LOAD_TWINS; i++) {
        struct load_twin *t = &l->twins[i];
        history_init(&t->history);
        t->history.clock = &l->next_unit;
        device_id("kill", i < LOAD_DEVICES ? i : i - LOAD_DEVICES, t->device);
        if (i >= LOAD_DEVICES)
            device_id("part", i - LOAD_DEVICES, t->module);
    }
    for (unsigned i = 0; i < PEERS; i++)
        l->peers[i] = (struct peer){.load = l,
                                    .fd = -1,
                                    .is_device = i < LOAD_TWINS,
                                    .twin = i < LOAD_TWINS ? &l->twins[i] : NULL};
}

void load_fini(struct load *l)
{
    load_close(l);
    for (unsigned i = 0; i < LOAD_TWINS; i++)
        history_fini(&l->twins[i].history);
    free(l->peers);
}

void load_create_twins(struct load *l)
{
    for (unsigned i = 0; i < LOAD_TWINS; i++)
        hub_create_identity(l->hub, l->twins[i].device,
                            l->twins[i].module[0] ? l->twins[i].module : NULL);
}

/* The connection is gone; what was under way has no answer. */
static void gone(struct peer *p)
{
    struct load *l = p->load;
    if (p->state == OFF)
        return;
    p->state = OFF;
    l->open--;
    l->unanswered += p->count;
    p->count = 0;
    if (!p->is_device)
        p->twin = NULL; /* it stays patched: nobody knows whether it is */
    close(p->fd);
    p->fd = -1;
    buf_fini(&p->in);
    buf_fini(&p->out);
}

void load_close(struct load *l)
{
    for (unsigned i = 0; i < PEERS; i++)
        gone(&l->peers[i]);
}

/* ---- what is sent ---- */

static void put_connect(struct peer *p)
{
    const struct load_twin *t = p->twin;
    struct buf resource = {0}, token = {0}, user = {0}, id = {0};
    uint8_t key[32];
    const char *slash = t->module[0] ? "/" : "", *modules = t->module[0] ? "/modules/" : "";
    device_key(t->module[0] ? t->module : t->device, key);
    buf_printf(&id, "%s%s%s", t->device, slash, t->module);
    buf_printf(&user, "localhost/%.*s/?api-version=2021-04-12", SPAN_ARG(buf_span(&id)));
    buf_printf(&resource, "localhost/devices/%s%s%s", t->device, modules, t->module);
    sas_make(&token, buf_span(&resource), span_of(key, sizeof(key)), time(NULL) + 86400,
             (struct span){0});
    mqtt_connect_encode(&p->out, &(struct mqtt_connect){.version = MQTT_VERSION_3_1_1,
                                                        .has_username = true,
                                                        .has_password = true,
                                                        .keep_alive_s = 60,
                                                        .client_id = buf_span(&id),
                                                        .username = buf_span(&user),
                                                        .password = buf_span(&token)});
    buf_fini(&resource);
    buf_fini(&token);
    buf_fini(&user);
    buf_fini(&id);
}

static void put_subscribe(struct peer *p)
{
    static const struct mqtt_filter filters[] = {
        {SPAN_INIT("$iothub/twin/res/#"),                      0},
        {SPAN_INIT("$iothub/twin/PATCH/properties/desired/#"), 0}
    };
    mqtt_subscribe_encode(&p->out, 1, filters, COUNT(filters));
}

static void put_request(struct peer *p)
{
    struct load_twin *t = p->twin;
    struct request *r = &p->requests[p->count++];
    *r = (struct request){.since = history_mark(&t->history)};
    struct buf topic = {0}, body = {0};
    struct mqtt_publish publish = {0};
    if (++p->written % READ_EVERY == 0) {
        buf_text(&topic, "$iothub/twin/GET/?$rid=0");
    } else {
        r->n = history_write(&t->history, REPORTED, p->load->next_unit++, &body);
        r->rid = r->n;
        buf_printf(&topic, "$iothub/twin/PATCH/properties/reported/?$rid=%u", r->rid);
        if (t->device[9] % 2) {
            r->packet_id = ++p->packet_id ? p->packet_id : ++p->packet_id;
            publish.qos = 1;
            publish.packet_id = r->packet_id;
        }
    }
    publish.topic = buf_span(&topic);
    publish.payload = buf_span(&body);
    mqtt_publish_encode(&p->out, &publish);
    buf_fini(&topic);
    buf_fini(&body);
}

/* A twin nobody patches now, or NULL. */
static struct load_twin *choose(struct load *l)
{
    for (int tries = 0; tries < 8; tries++) {
        struct load_twin *t = &l->twins[test_random(&l->seed) % LOAD_TWINS];
        if (!t->patched)
            return t;
    }
    return NULL;
}

static void put_patch(struct peer *p)
{
    struct load *l = p->load;
    struct load_twin *t = choose(l);
    if (!t)
        return;
    struct buf body = {0};
    uint32_t unit = l->next_unit++;
    t->patched = true;
    p->twin = t;
    p->requests[p->count++] = (struct request){.since = history_mark(&t->history)};
    buf_text(&body, "{\"properties\":{\"desired\":");
    p->requests[0].n = history_write(&t->history, DESIRED, unit, &body);
    buf_text(&body, "},\"tags\":");
    if (history_tags(unit, &body))
        buf_byte(&body, '}');
    else
        body.len -= strlen(",\"tags\":") - 1, body.data[body.len - 1] = '}';
    buf_printf(&p->out,
               "PATCH /twins/%s%s%s?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\n",
               t->device, t->module[0] ? "/modules/" : "", t->module);
    buf_printf(&p->out, "Authorization: %.*s\r\nContent-Length: %zu\r\n\r\n",
               SPAN_ARG(buf_span(&l->hub->service.token)), body.len);
    buf_put(&p->out, buf_span(&body));
    buf_fini(&body);
}

static void fill(struct peer *p)
{
    if (p->state != OPEN || p->load->no_writes)
        return;
    while (p->is_device && p->count < IN_FLIGHT)
        put_request(p);
    if (!p->is_device && p->count == 0)
        put_patch(p);
}

/* ---- what comes back ---- */

static void answered(struct peer *p)
{
    p->count--;
    memmove(p->requests, p->requests + 1, p->count * sizeof(*p->requests));
}

/* The digits after `mark` as a number; -1. */
static int64_t number_after(struct span topic, const char *mark)
{
    const uint8_t *at = memmem(topic.data, topic.len, mark, strlen(mark));
    if (!at)
        return -1;
    int64_t number = -1;
    struct span rest = span_skip(topic, (size_t)(at - topic.data) + strlen(mark));
    for (; rest.len && rest.data[0] >= '0' && rest.data[0] <= '9'; rest = span_skip(rest, 1))
        number = (number < 0 ? 0 : number) * 10 + (rest.data[0] - '0');
    return number;
}

static void on_response(struct peer *p, const struct mqtt_publish *m)
{
    struct load *l = p->load;
    struct history *h = &p->twin->history;
    struct buf why = {0};
    int64_t status = number_after(m->topic, "/res/"), rid = number_after(m->topic, "$rid=");
    const struct request *r = &p->requests[0];
    if (p->count == 0 || rid != r->rid) {
        wrong_text(p, "an answer out of order", m->topic);
        return;
    }
    if (r->n == 0 && status == 200) {
        l->reads++;
        if (!history_see(h, r->since, m->payload, false, &why))
            load_wrong(l, p->twin, &why);
    } else if (r->n && status == 204) {
        l->acked[REPORTED]++;
        l->last_ack_ns = now_ns();
        if (!history_ack(h, REPORTED, r->n, number_after(m->topic, "$version="), &why))
            load_wrong(l, p->twin, &why);
    } else if (r->n && status == 500 && l->no_space) {
        l->refused++;
        history_refuse(h, REPORTED, r->n);
        for (unsigned i = 1; i < p->count; i++)
            p->requests[i].n -= p->requests[i].n != 0;
    } else if (!l->stopping) {
        wrong_text(p, "refused", m->topic);
    }
    answered(p);
    buf_fini(&why);
}

static void on_publish(struct peer *p, const struct mqtt_packet *packet)
{
    static const struct span desired =
        SPAN_INIT("$iothub/twin/PATCH/properties/desired/?$version=");
    struct load *l = p->load;
    struct mqtt_publish m;
    struct buf why = {0};
    if (mqtt_publish_decode(packet, &m) != OK) {
        wrong_text(p, "a malformed PUBLISH", packet->body);
    } else if (span_starts(m.topic, desired)) {
        l->pushes++;
        if (!history_push(&p->twin->history, number_after(m.topic, "$version="), m.payload, &why))
            load_wrong(l, p->twin, &why);
    } else {
        on_response(p, &m);
    }
    buf_fini(&why);
}

/* PUBACK comes before the answer, and says by itself that the write is durable. */
static void on_puback(struct peer *p, const struct mqtt_packet *packet)
{
    uint16_t id = 0;
    struct buf why = {0};
    if (mqtt_ack_decode(packet, &id) != OK)
        id = 0;
    for (unsigned i = 0; i < p->count; i++) {
        if (p->requests[i].packet_id != id || !id)
            continue;
        p->requests[i].packet_id = 0;
        if (p->load->no_space)
            return; /* it may yet be refused */
        if (!history_ack(&p->twin->history, REPORTED, p->requests[i].n, 0, &why))
            load_wrong(p->load, p->twin, &why);
        buf_fini(&why);
        p->load->last_ack_ns = now_ns();
        return;
    }
    wrong_text(p, "a PUBACK nobody waits for", packet->body);
}

static void on_connack(struct peer *p, const struct mqtt_packet *packet)
{
    bool present;
    uint8_t code = 255;
    if (mqtt_connack_decode(packet, &present, &code) == OK && code == MQTT_ACCEPTED) {
        put_subscribe(p);
        p->state = SUBSCRIBING;
    } else if (code != MQTT_UNAVAILABLE || !p->load->stopping) {
        wrong_text(p, "CONNECT is refused", packet->body);
    }
}

static void on_packet(struct peer *p, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_CONNACK)
        on_connack(p, packet);
    else if (packet->type == MQTT_SUBACK)
        p->state = OPEN;
    else if (packet->type == MQTT_PUBACK)
        on_puback(p, packet);
    else if (packet->type == MQTT_PUBLISH)
        on_publish(p, packet);
    else
        wrong_text(p, "an unexpected packet", packet->body);
}

static void on_http(struct peer *p, int status, struct span body)
{
    struct load *l = p->load;
    struct load_twin *t = p->twin;
    struct buf why = {0};
    if (p->count == 0) {
        wrong_text(p, "an answer nobody asked for", body);
        return;
    }
    if (status == 200) {
        struct request r = p->requests[0];
        l->acked[DESIRED]++;
        l->last_ack_ns = now_ns();
        r.since.acked[DESIRED] = r.n; /* it shows its own effect */
        if (!history_ack(&t->history, DESIRED, r.n, 0, &why) ||
            !history_see(&t->history, r.since, body, true, &why))
            load_wrong(l, t, &why);
        t->patched = false;
    } else if (status == 507 && l->no_space) {
        l->refused++;
        history_refuse(&t->history, DESIRED, p->requests[0].n);
        t->patched = false;
    } else if (!l->stopping) {
        wrong_text(p, "refused", body);
    }
    p->twin = NULL;
    answered(p);
    buf_fini(&why);
}

/* Whole responses; the hub always sends a length. */
static void feed_http(struct peer *p)
{
    for (;;) {
        static const char mark[] = "Content-Length: ";
        const uint8_t *end = p->in.len ? memmem(p->in.data, p->in.len, "\r\n\r\n", 4) : NULL;
        if (!end)
            return;
        size_t head = (size_t)(end - p->in.data) + 4;
        const char *at = memmem(p->in.data, head, mark, strlen(mark));
        size_t len = at ? strtoul(at + strlen(mark), NULL, 10) : 0;
        if (p->in.len < head + len)
            return;
        on_http(p, atoi((const char *)p->in.data + 9), span_of(p->in.data + head, len));
        buf_consume(&p->in, head + len);
    }
}

static void feed_mqtt(struct peer *p)
{
    struct mqtt_packet packet;
    size_t used;
    enum status st;
    while ((st = mqtt_decode(buf_span(&p->in), 1 << 20, &packet, &used)) == OK) {
        on_packet(p, &packet);
        buf_consume(&p->in, used);
    }
    if (st != NEED_MORE)
        wrong_text(p, "not MQTT", buf_span(&p->in));
}

/* ---- the sockets ---- */

void load_connect(struct load *l)
{
    struct sockaddr_in mqtt = hub_address(l->hub, HUB_MQTT), http = hub_address(l->hub, HUB_HTTP);
    l->stopping = l->no_writes = false;
    for (unsigned i = 0; i < PEERS; i++) {
        struct peer *p = &l->peers[i];
        struct sockaddr_in *to = p->is_device ? &mqtt : &http;
        int one = 1;
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (p->fd < 0 || connect(p->fd, (struct sockaddr *)to, sizeof(*to)) != 0)
            process_fail("connect: %s", strerror(errno));
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        p->state = p->is_device ? CONNECTING : OPEN;
        p->written = i;
        l->open++;
        if (p->is_device)
            put_connect(p);
    }
}

bool load_is_ready(const struct load *l)
{
    for (unsigned i = 0; i < PEERS; i++)
        if (l->peers[i].state != OPEN)
            return false;
    return true;
}

static void on_readable(struct peer *p)
{
    buf_reserve(&p->in, READ_MAX);
    ssize_t n = recv(p->fd, p->in.data + p->in.len, READ_MAX, MSG_DONTWAIT);
    if (n > 0) {
        p->in.len += (size_t)n;
        if (p->is_device)
            feed_mqtt(p);
        else
            feed_http(p);
    } else if (n == 0) {
        gone(p);
    } else if (errno != EAGAIN) {
        p->load->resets++;
        gone(p);
    }
}

static void send_some(struct peer *p)
{
    if (p->state == OFF || p->out.len == 0)
        return;
    ssize_t n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        buf_consume(&p->out, (size_t)n);
    else if (errno != EAGAIN)
        buf_clear(&p->out); /* its end is still to be read */
}

void load_run(struct load *l, int64_t ms)
{
    for (int64_t until = now_ns() + ms * 1000000; l->open && now_ns() < until;) {
        struct pollfd at[PEERS];
        for (unsigned i = 0; i < PEERS; i++) {
            struct peer *p = &l->peers[i];
            fill(p);
            send_some(p);
            at[i] = (struct pollfd){.fd = p->fd, .events = POLLIN};
            if (p->out.len)
                at[i].events |= POLLOUT;
        }
        int64_t left_ms = (until - now_ns()) / 1000000;
        if (poll(at, PEERS, left_ms > 0 ? (int)left_ms : 0) <= 0)
            continue;
        for (unsigned i = 0; i < PEERS; i++)
            if (at[i].revents & (POLLIN | POLLHUP | POLLERR))
                on_readable(&l->peers[i]);
    }
}

static bool is_idle(const struct load *l)
{
    for (unsigned i = 0; i < PEERS; i++)
        if (l->peers[i].state != OFF && (l->peers[i].count || l->peers[i].out.len))
            return false;
    return true;
}

bool load_drain(struct load *l)
{
    l->no_writes = true;
    for (int64_t until = now_ns() + DRAIN_MS * 1000000LL; !is_idle(l) && now_ns() < until;)
        load_run(l, 2);
    return is_idle(l);
}

/* ---- afterwards ---- */

int load_get(struct load *l, const struct load_twin *t, struct span *body)
{
    char path[128];
    snprintf(path, sizeof(path), "/twins/%s%s%s?api-version=2021-04-12", t->device,
             t->module[0] ? "/modules/" : "", t->module);
    return service_call(&l->hub->service, "GET", path, (struct span){0}, body);
}

void load_verify(struct load *l)
{
    for (unsigned i = 0; i < LOAD_TWINS; i++) {
        struct load_twin *t = &l->twins[i];
        struct buf why = {0};
        struct span body;
        int http = load_get(l, t, &body);
        if (http != 200)
            buf_printf(&why, "GET answers %d: %.*s", http, SPAN_ARG(body));
        if (http != 200 || !history_recover(&t->history, body, &why))
            load_wrong(l, t, &why);
        t->patched = false;
        buf_fini(&why);
    }
}
