#include "devices.h"

#include "auth/sas.h"
#include "process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 512,
    READ_MAX = 65536,
    PACKET_MAX = 1 << 20,
    SWEEP_NS = 5000000, /* between looks for what is due */
    PING_SWEEP_NS = 100000000,
    TOKEN_LIFE_S = 86400,
};

struct devices {
    struct devices_config config;
    struct device *at;
    int epoll;
    SSL_CTX *tls;
    size_t ready, connecting;
    uint64_t resumed;
    size_t waiting; /* devices whose due_ns is set */
    uint32_t sweep_from;
    int64_t swept_ns, pinged_ns;
    struct device **inboxes; /* with input left in OpenSSL */
    size_t inbox_count;
    uint8_t *scratch; /* READ_MAX bytes */
};

int64_t devices_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void device_id(const char *prefix, uint32_t index, char out[32])
{
    snprintf(out, 32, "%.16s%06u", prefix, index % 1000000);
}

void device_key(const char *id, uint8_t out[32])
{
    memset(out, '=', 32);
    memcpy(out, id, strnlen(id, 32));
}

/* ---- life ---- */

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct device *d = SSL_get_app_data(ssl);
    if (!d->of->config.resume)
        return 0;
    SSL_SESSION_free(d->ticket);
    d->ticket = session; /* one reference is ours now */
    return 1;
}

static int believe(X509_STORE_CTX *chain, void *arg)
{
    (void)chain;
    (void)arg;
    return 1;
}

/* The certificate is not verified: what is tried here is the server. Its half of a handshake costs
 * less than that of a client that offers all it knows, and thousands of them share a core here; so
 * they offer what the server chooses. */
static SSL_CTX *tls_create(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls)
        process_fail("OpenSSL: no client context");
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(tls, believe, NULL);
    if (SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(tls, "X25519") != 1 ||
        SSL_CTX_set1_sigalgs_list(tls, "ECDSA+SHA256") != 1)
        process_fail("OpenSSL: no such choice");
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A hub that is killed says no farewell: for OpenSSL else an error that ends the session too.
     */
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls, on_ticket);
    return tls;
}

struct devices *devices_create(const struct devices_config *config)
{
    struct devices *all = calloc(1, sizeof(*all));
    if (!all)
        check_no_memory();
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to connections that are gone */
    all->config = *config;
    if (!all->config.at_once)
        all->config.at_once = config->count;
    if (!all->config.among)
        all->config.among = config->count;
    all->at = calloc(config->count, sizeof(*all->at));
    all->inboxes =
        calloc(config->count, sizeof(*all->inboxes)); /* NOLINT(bugprone-sizeof-expression) */
    all->scratch = malloc(READ_MAX);
    if (!all->at || !all->inboxes || !all->scratch)
        check_no_memory();
    for (uint32_t i = 0; i < config->count; i++)
        all->at[i] = (struct device){.of = all, .index = i, .fd = -1, .due_ns = INT64_MAX};
    all->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (all->epoll < 0)
        process_fail("epoll: %s", strerror(errno));
    if (config->tls)
        all->tls = tls_create();
    return all;
}

void devices_destroy(struct devices *all)
{
    for (uint32_t i = 0; i < all->config.count; i++) {
        device_close(&all->at[i]);
        SSL_SESSION_free(all->at[i].ticket);
    }
    SSL_CTX_free(all->tls);
    close(all->epoll);
    free(all->scratch);
    free(all->inboxes); /* NOLINT(bugprone-multi-level-implicit-pointer-conversion) */
    free(all->at);
    free(all);
}

struct device *devices_at(struct devices *all, uint32_t index)
{
    CHECK(index < all->config.count);
    return &all->at[index];
}

size_t devices_ready(const struct devices *all)
{
    return all->ready;
}

size_t devices_under_way(const struct devices *all)
{
    return all->connecting + all->waiting;
}

uint64_t devices_resumed(const struct devices *all)
{
    return all->resumed;
}

uint32_t device_number(const struct device *d)
{
    const struct devices_config *config = &d->of->config;
    return (uint32_t)((uint64_t)d->index * config->among / config->count);
}

/* ---- states ---- */

static void become(struct device *d, enum device_state next)
{
    struct devices *all = d->of;
    all->ready -= d->state == DEVICE_READY;
    all->connecting -= d->state != DEVICE_READY && d->state != DEVICE_OFF;
    d->state = next;
    all->ready += next == DEVICE_READY;
    all->connecting += next != DEVICE_READY && next != DEVICE_OFF;
}

static void watch(struct device *d, bool write)
{
    struct epoll_event e = {.events = 0, .data.ptr = d};
    if (!d->paused)
        e.events |= EPOLLIN;
    if (write)
        e.events |= EPOLLOUT;
    d->wants_write = write;
    if (epoll_ctl(d->of->epoll, EPOLL_CTL_MOD, d->fd, &e) != 0)
        process_fail("epoll: %s", strerror(errno));
}

static void leave_inboxes(struct device *d)
{
    struct devices *all = d->of;
    for (size_t i = 0; d->inbox && i < all->inbox_count; i++)
        if (all->inboxes[i] == d)
            all->inboxes[i] = all->inboxes[--all->inbox_count];
    d->inbox = false;
}

void device_close(struct device *d)
{
    d->of->waiting -= d->due_ns != INT64_MAX;
    d->due_ns = INT64_MAX;
    if (d->state == DEVICE_OFF)
        return;
    become(d, DEVICE_OFF);
    leave_inboxes(d);
    if (d->ssl) /* else its ticket would not be offered again */
        SSL_set_shutdown(d->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(d->ssl);
    d->ssl = NULL;
    close(d->fd);
    d->fd = -1;
    d->wants_write = d->paused = false;
    buf_fini(&d->in);
    buf_fini(&d->out);
}

static void lost(struct device *d, const char *why)
{
    struct devices *all = d->of;
    device_close(d);
    if (all->config.on_closed)
        all->config.on_closed(all->config.ctx, d, why);
}

void device_pause(struct device *d, bool paused)
{
    d->paused = paused;
    if (d->state != DEVICE_OFF)
        watch(d, d->wants_write);
}

/* ---- output ---- */

struct buf *device_out(struct device *d)
{
    return &d->out;
}

static ssize_t put_bytes(struct device *d)
{
    if (!d->ssl)
        return send(d->fd, d->out.data, d->out.len, MSG_NOSIGNAL);
    ERR_clear_error();
    int n = SSL_write(d->ssl, d->out.data, (int)d->out.len);
    if (n > 0)
        return n;
    int error = SSL_get_error(d->ssl, n);
    errno = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
    return -1;
}

void device_flush(struct device *d)
{
    while (d->out.len) {
        ssize_t n = put_bytes(d);
        if (n > 0)
            buf_consume(&d->out, (size_t)n);
        else if (errno == EAGAIN)
            break;
        else
            return; /* its end will be read */
    }
    if (d->out.len == 0 && d->out.cap > 4096)
        buf_fini(&d->out);
    d->sent_ns = devices_now();
    if ((d->out.len > 0) != d->wants_write)
        watch(d, d->out.len > 0);
}

/* ---- the way up ---- */

static void send_connect(struct device *d)
{
    const struct devices_config *config = &d->of->config;
    char id[32], user[256];
    uint8_t key[32];
    struct buf resource = {0}, token = {0};
    device_id(config->prefix, device_number(d), id);
    device_key(id, key);
    snprintf(user, sizeof(user), "%s/%s/?api-version=2021-04-12", config->host, id);
    buf_printf(&resource, "%s/devices/%s", config->host, id);
    sas_make(&token, buf_span(&resource), span_of(key, sizeof(key)), time(NULL) + TOKEN_LIFE_S,
             (struct span){0});
    mqtt_connect_encode(&d->out,
                        &(struct mqtt_connect){.version = MQTT_VERSION_3_1_1,
                                               .clean_session = config->clean,
                                               .has_username = true,
                                               .has_password = true,
                                               .keep_alive_s = (uint16_t)config->keep_alive_s,
                                               .client_id = span_text(id),
                                               .username = span_text(user),
                                               .password = buf_span(&token)});
    buf_fini(&resource);
    buf_fini(&token);
    become(d, DEVICE_CONNECT);
    device_flush(d);
}

static void begin_tls(struct device *d)
{
    d->ssl = SSL_new(d->of->tls);
    if (!d->ssl || !SSL_set_fd(d->ssl, d->fd))
        check_no_memory();
    SSL_set_app_data(d->ssl, d);
    SSL_ctrl(d->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             (void *)(uintptr_t)d->of->config.host); /* the macro for it casts const away */
    if (d->ticket)
        SSL_set_session(d->ssl, d->ticket);
    become(d, DEVICE_TLS);
}

static void shake_hands(struct device *d)
{
    ERR_clear_error();
    int rc = SSL_connect(d->ssl);
    if (rc == 1) {
        d->of->resumed += (uint64_t)SSL_session_reused(d->ssl);
        send_connect(d);
        return;
    }
    int error = SSL_get_error(d->ssl, rc);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        lost(d, "the TLS handshake failed");
    else if ((error == SSL_ERROR_WANT_WRITE) != d->wants_write)
        watch(d, error == SSL_ERROR_WANT_WRITE);
}

static void on_tcp(struct device *d)
{
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        lost(d, strerror(error));
        return;
    }
    watch(d, false);
    if (!d->of->tls) {
        send_connect(d);
        return;
    }
    begin_tls(d);
    shake_hands(d);
}

/* One address has some 28,000 ports; a large fleet comes from many (all of 127/8 is ours). */
static void spread(const struct device *d)
{
    int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    uint32_t net = 1 + (uint32_t)getpid() % 250; /* the last run's ports may not be free yet */
    from.sin_addr.s_addr = htonl(0x7f000001 + (net << 16) + (d->index / 5000 << 8));
    setsockopt(d->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(d->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
        process_fail("bind: %s", strerror(errno));
}

static void dial(struct device *d)
{
    const struct devices_config *config = &d->of->config;
    int one = 1;
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        process_fail("socket: %s", strerror(errno));
    if (config->receive_bytes)
        setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &config->receive_bytes, sizeof(int));
    setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    spread(d);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = d};
    if (epoll_ctl(d->of->epoll, EPOLL_CTL_ADD, d->fd, &e) != 0)
        process_fail("epoll: %s", strerror(errno));
    d->wants_write = true;
    d->began_ns = devices_now();
    become(d, DEVICE_TCP);
    int rc = connect(d->fd, (const struct sockaddr *)&config->to, sizeof(config->to));
    if (rc != 0 && errno != EINPROGRESS)
        lost(d, strerror(errno));
}

void device_connect(struct device *d, int64_t after_ms)
{
    CHECK(d->state == DEVICE_OFF);
    d->of->waiting += d->due_ns == INT64_MAX;
    d->due_ns = devices_now() + after_ms * 1000000;
    d->of->swept_ns = 0;
}

static void become_ready(struct device *d)
{
    const struct devices_config *config = &d->of->config;
    become(d, DEVICE_READY);
    if (config->on_ready)
        config->on_ready(config->ctx, d);
}

static void on_connack(struct device *d, const struct mqtt_packet *p)
{
    static const struct mqtt_filter filters[] = {
        {SPAN_INIT("$iothub/twin/res/#"),                      0},
        {SPAN_INIT("$iothub/twin/PATCH/properties/desired/#"), 0}
    };
    bool present;
    uint8_t code;
    if (p->type != MQTT_CONNACK || mqtt_connack_decode(p, &present, &code) != OK || code != 0) {
        lost(d, "CONNECT was refused");
    } else if (!d->of->config.subscribe) {
        become_ready(d);
    } else {
        mqtt_subscribe_encode(&d->out, 1, filters, COUNT(filters));
        become(d, DEVICE_SUBSCRIBE);
        device_flush(d);
    }
}

/* ---- input ---- */

static void on_packet(struct device *d, const struct mqtt_packet *p)
{
    const struct devices_config *config = &d->of->config;
    if (d->state == DEVICE_CONNECT)
        on_connack(d, p);
    else if (d->state == DEVICE_SUBSCRIBE && p->type == MQTT_SUBACK)
        become_ready(d);
    else if (p->type != MQTT_PINGRESP && config->on_packet)
        config->on_packet(config->ctx, d, p);
}

/* Cut packets off; comes back with the bytes used. The device may be off after. */
static size_t feed(struct device *d, struct span in)
{
    size_t total = 0;
    while (d->state >= DEVICE_CONNECT) {
        struct mqtt_packet p;
        size_t used;
        enum status st = mqtt_decode(span_skip(in, total), PACKET_MAX, &p, &used);
        if (st == NEED_MORE)
            break;
        if (st != OK) {
            lost(d, "a malformed packet");
            break;
        }
        total += used;
        on_packet(d, &p);
    }
    return total;
}

static void take_bytes(struct device *d, struct span bytes)
{
    int64_t life = d->began_ns; /* a callback may have closed it, and connected it anew */
    if (d->in.len == 0) {
        size_t used = feed(d, bytes);
        if (d->state != DEVICE_OFF && d->began_ns == life)
            buf_put(&d->in, span_skip(bytes, used));
        return;
    }
    buf_put(&d->in, bytes);
    struct buf in = d->in; /* ours, while callbacks run */
    d->in = (struct buf){0};
    size_t used = feed(d, buf_span(&in));
    if (d->state != DEVICE_OFF && d->began_ns == life)
        buf_put(&d->in, span_skip(buf_span(&in), used));
    buf_fini(&in);
}

static ssize_t get_bytes(struct device *d)
{
    if (!d->ssl)
        return recv(d->fd, d->of->scratch, READ_MAX, 0);
    ERR_clear_error();
    int n = SSL_read(d->ssl, d->of->scratch, READ_MAX);
    if (n > 0)
        return n;
    int error = SSL_get_error(d->ssl, n);
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    return -1;
}

static void on_readable(struct device *d)
{
    ssize_t n = get_bytes(d);
    if (n > 0) {
        take_bytes(d, span_of(d->of->scratch, (size_t)n));
        if (d->out.len && !d->wants_write && d->state >= DEVICE_CONNECT)
            device_flush(d);
        if (d->ssl && d->state >= DEVICE_CONNECT && !d->inbox && SSL_pending(d->ssl) > 0) {
            d->inbox = true;
            d->of->inboxes[d->of->inbox_count++] = d;
        }
    } else if (n == 0) {
        lost(d, "the peer closed");
    } else if (errno != EAGAIN) {
        lost(d, strerror(errno));
    }
}

static void on_event(struct device *d, uint32_t events)
{
    switch (d->state) {
    case DEVICE_OFF:
        return;
    case DEVICE_TCP:
        on_tcp(d);
        return;
    case DEVICE_TLS:
        shake_hands(d);
        return;
    case DEVICE_CONNECT:
    case DEVICE_SUBSCRIBE:
    case DEVICE_READY:
        if (events & EPOLLOUT)
            device_flush(d);
        if (events & ~(uint32_t)EPOLLOUT)
            on_readable(d);
        return;
    }
}

/* ---- one round ---- */

static void connect_due(struct devices *all, int64_t now)
{
    if (!all->waiting || now - all->swept_ns < SWEEP_NS)
        return;
    all->swept_ns = now;
    uint32_t count = all->config.count;
    for (uint32_t n = 0; n < count && all->connecting < all->config.at_once; n++) {
        struct device *d = &all->at[all->sweep_from];
        all->sweep_from = (all->sweep_from + 1) % count;
        if (d->due_ns > now)
            continue;
        d->due_ns = INT64_MAX;
        all->waiting--;
        dial(d);
    }
}

static void ping_due(struct devices *all, int64_t now)
{
    if (!all->config.keep_alive_s || now - all->pinged_ns < PING_SWEEP_NS)
        return;
    all->pinged_ns = now;
    for (uint32_t i = 0; i < all->config.count; i++) {
        struct device *d = &all->at[i];
        if (d->state != DEVICE_READY || d->silent ||
            now - d->sent_ns < all->config.keep_alive_s * 500000000LL)
            continue;
        mqtt_pingreq_encode(&d->out);
        device_flush(d);
    }
}

void devices_turn(struct devices *all, int wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t now = devices_now();
    connect_due(all, now);
    ping_due(all, now);
    if (all->inbox_count)
        wait_ms = 0;
    else if (all->waiting && wait_ms > 5)
        wait_ms = 5;
    int n = epoll_wait(all->epoll, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < n; i++)
        on_event(events[i].data.ptr, events[i].events);
    for (size_t left = all->inbox_count; left && all->inbox_count; left--) {
        struct device *d = all->inboxes[0];
        leave_inboxes(d);
        on_readable(d);
    }
}
