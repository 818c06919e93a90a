/* load — devices at work: how many operations a second a server answers, and how fast.
 *
 *   load --mode patch --to 127.0.0.1:1883 --connections 100 --in-flight 16
 *
 * A closed loop: each connection keeps its operations in flight and sends the next when one is
 * answered. Prints one line of name=value fields. --help lists the flags.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "devices.h"
#include "latency.h"
#include "process.h"
#include "service.h"

enum { SLOTS_MAX = 4096, SETTLE_MS = 60000 };

enum mode { PATCH, GET, PUBLISH, CONNECT, PUSH };
static const char *const mode_names[] = {"patch", "get", "publish", "connect", "push"};

struct slot {
    int64_t sent_ns; /* 0: free */
    uint32_t seq;
};

/* One packet, and where its changing parts are; 0: it has no such part. */
struct template
{
    struct buf bytes;
    size_t request_at; /* 8 hex digits: the slot in 3, then the sequence in 5 */
    size_t value_at;   /* 8 decimal digits */
    size_t packet_id_at;
    size_t device_at; /* the 6 digits of a device id */
};

static struct {
    enum mode mode;
    struct sockaddr_in to, rest;
    const char *connection, *prefix, *host;
    unsigned connections, in_flight, body_len, qos, stay_s;
    double seconds, warm_s;
    pid_t server;
    bool create, tls, resume, has_rest;
} options = {.prefix = "load-",
             .host = "localhost",
             .connections = 1,
             .in_flight = 1,
             .body_len = 150,
             .seconds = 3,
             .warm_s = 1};

static struct devices *devices;
static struct service service;
static struct template template;
static struct slot *slots; /* in_flight of each connection */
static struct latency latency;
static bool working, measuring;
static uint64_t failed, lost, answer_bytes;
static char first_failure[256];
static uint32_t value = 10000000;

static void note_failure(const char *what, struct span detail)
{
    if (failed++ == 0)
        snprintf(first_failure, sizeof(first_failure), "%s %.*s", what,
                 SPAN_ARG(span_first(detail, 200)));
}

static void count_done(int64_t ns, size_t bytes)
{
    if (!measuring)
        return;
    latency_add(&latency, ns);
    answer_bytes += bytes;
}

/* ---- the packet ---- */

static size_t where(struct span in, const char *what)
{
    const uint8_t *at = memmem(in.data, in.len, what, strlen(what));
    CHECK(at);
    return (size_t)(at - in.data);
}

/* A patch of seven properties, filled up to the length asked for. */
static void put_patch(struct buf *b, size_t len)
{
    buf_text(b, "{\"temperature\":21.53,\"humidity\":48,\"door\":\"closed\",\"counter\":10000000,"
                "\"net\":{\"rssi\":-71,\"roam\":false},\"note\":\"");
    while (b->len + 2 < len)
        buf_byte(b, 'n');
    buf_text(b, "\"}");
}

static void make_template(void)
{
    static const char *const topics[] = {
        [PATCH] = "$iothub/twin/PATCH/properties/reported/?$rid=RRRRRRRR",
        [GET] = "$iothub/twin/GET/?$rid=RRRRRRRR",
        [PUBLISH] = "/messages/events/n=RRRRRRRR", /* after devices/{id} */
    };
    struct buf topic = {0}, body = {0};
    if (options.mode == CONNECT || options.mode == PUSH)
        return;
    if (options.mode != GET)
        put_patch(&body, options.body_len);
    if (options.mode == PUBLISH)
        buf_printf(&topic, "devices/%s000000", options.prefix);
    buf_text(&topic, topics[options.mode]);
    unsigned qos = options.mode == PUBLISH ? 1 : options.qos;
    mqtt_publish_encode(&template.bytes, &(struct mqtt_publish){.topic = buf_span(&topic),
                                                                .payload = buf_span(&body),
                                                                .packet_id = 1,
                                                                .qos = (uint8_t)qos});
    struct span all = buf_span(&template.bytes);
    template.request_at = where(all, "RRRRRRRR");
    if (options.mode != GET)
        template.value_at = where(all, "10000000");
    if (qos)
        template.packet_id_at = template.request_at + 8;
    if (options.mode == PUBLISH)
        template.device_at = where(all, "000000/messages");
    buf_fini(&topic);
    buf_fini(&body);
}

static void put_hex(uint8_t *at, uint32_t number)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t) "0123456789abcdef"[number >> (28 - 4 * i) & 15];
}

static void put_decimal(uint8_t *at, unsigned digits, uint32_t number)
{
    for (unsigned i = digits; i-- > 0; number /= 10)
        at[i] = (uint8_t)('0' + number % 10);
}

static void send_one(struct device *d, unsigned slot)
{
    struct slot *s = &slots[(size_t)d->index * options.in_flight + slot];
    struct buf *out = device_out(d);
    uint8_t *bytes;
    size_t start = out->len;
    buf_put(out, buf_span(&template.bytes));
    bytes = out->data + start;
    s->seq = (s->seq + 1) & 0xfffff;
    put_hex(bytes + template.request_at, slot << 20 | s->seq);
    if (template.value_at)
        put_decimal(bytes + template.value_at, 8, value);
    if (template.device_at)
        put_decimal(bytes + template.device_at, 6, d->index);
    value = value == 99999999 ? 10000000 : value + 1;
    if (template.packet_id_at) {
        bytes[template.packet_id_at] = (uint8_t)((slot + 1) >> 8);
        bytes[template.packet_id_at + 1] = (uint8_t)(slot + 1);
    }
    s->sent_ns = devices_now();
}

/* ---- what comes back ---- */

static void answered(struct device *d, uint32_t slot, size_t bytes)
{
    if (slot >= options.in_flight)
        return;
    struct slot *s = &slots[(size_t)d->index * options.in_flight + slot];
    if (!s->sent_ns)
        return;
    count_done(devices_now() - s->sent_ns, bytes);
    s->sent_ns = 0;
    if (working)
        send_one(d, slot);
}

static bool hex(struct span text, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return text.len == 8;
}

/* $iothub/twin/res/204/?$rid=RRRRRRRR... */
static void on_response(struct device *d, const struct mqtt_publish *p)
{
    static const struct span head = SPAN_INIT("$iothub/twin/res/");
    uint32_t request;
    const char *want = options.mode == GET ? "200" : "204";
    if (!span_starts(p->topic, head) || p->topic.len < head.len + 18 ||
        !hex(span_first(span_skip(p->topic, head.len + 10), 8), &request)) {
        note_failure("unexpected", p->topic);
        return;
    }
    if (memcmp(p->topic.data + head.len, want, 3) != 0)
        note_failure("refused", p->payload);
    uint32_t slot = request >> 20;
    if (slot < options.in_flight &&
        slots[(size_t)d->index * options.in_flight + slot].seq != (request & 0xfffff))
        note_failure("out of order", p->topic);
    answered(d, slot, p->payload.len);
}

static sem_t pushed;
static _Atomic int64_t patched_ns;

static void on_packet(void *ctx, struct device *d, const struct mqtt_packet *packet)
{
    struct mqtt_publish p;
    uint16_t id;
    (void)ctx;
    if (packet->type == MQTT_PUBACK && mqtt_ack_decode(packet, &id) == OK) {
        if (options.mode == PUBLISH)
            answered(d, id - 1U, 0);
        return;
    }
    if (packet->type != MQTT_PUBLISH || mqtt_publish_decode(packet, &p) != OK) {
        note_failure("unexpected packet", packet->body);
        return;
    }
    if (options.mode == PUSH) {
        count_done(devices_now() - patched_ns, p.payload.len);
        sem_post(&pushed);
        return;
    }
    on_response(d, &p);
}

/* The first of its operations, on a connection that has none under way. */
static void start_device(struct device *d)
{
    for (unsigned slot = 0; options.mode <= PUBLISH && slot < options.in_flight; slot++)
        send_one(d, slot);
    device_flush(d);
}

static void on_ready(void *ctx, struct device *d)
{
    (void)ctx;
    if (working)
        start_device(d);
    if (options.mode != CONNECT)
        return;
    count_done(devices_now() - d->began_ns, 0);
    mqtt_disconnect_encode(device_out(d));
    device_flush(d);
    device_close(d);
    device_connect(d, 0);
}

static void on_closed(void *ctx, struct device *d, const char *why)
{
    (void)ctx;
    lost++;
    note_failure("closed:", span_text(why));
    device_connect(d, 100);
}

/* ---- desired patches by REST, one at a time ---- */

static void *push_main(void *arg)
{
    char id[32], path[96], body[64];
    struct span answer;
    (void)arg;
    device_id(options.prefix, 0, id);
    snprintf(path, sizeof(path), "/twins/%s?api-version=2021-04-12", id);
    for (unsigned n = 0; working; n++) {
        snprintf(body, sizeof(body), "{\"properties\":{\"desired\":{\"rate\":%u}}}", n);
        patched_ns = devices_now();
        int http = service_call(&service, "PATCH", path, span_text(body), &answer);
        if (http != 200)
            process_fail("PATCH %s: %d %.*s", path, http, SPAN_ARG(span_first(answer, 300)));
        while (sem_wait(&pushed) != 0 && errno == EINTR)
            ;
        usleep(1000); /* the hub is idle when the next one comes */
    }
    return NULL;
}

/* ---- the run ---- */

static void turn_for(double seconds)
{
    int64_t end = devices_now() + (int64_t)(seconds * 1e9);
    while (devices_now() < end)
        devices_turn(devices, 10);
}

static void connect_all(void)
{
    int64_t give_up = devices_now() + SETTLE_MS * 1000000LL;
    for (unsigned i = 0; i < options.connections; i++)
        device_connect(devices_at(devices, i), 0);
    while (options.mode != CONNECT && devices_ready(devices) < options.connections) {
        devices_turn(devices, 10);
        if (devices_now() > give_up)
            process_fail("%zu of %u connected, %llu failures; %s", devices_ready(devices),
                         options.connections, (unsigned long long)failed, first_failure);
    }
}

static void start_work(void)
{
    working = true;
    for (unsigned i = 0; options.mode != CONNECT && i < options.connections; i++)
        start_device(devices_at(devices, i));
}

static void report(double seconds, double own_cpu, double server_cpu)
{
    double count = (double)latency.count;
    printf("rate=%.0f p50_us=%.0f p90_us=%.0f p99_us=%.0f p999_us=%.0f max_us=%.0f "
           "failed=%llu lost=%llu answer_bytes=%.0f load_cpu=%.2f",
           count / seconds, latency_us(&latency, 0.5), latency_us(&latency, 0.9),
           latency_us(&latency, 0.99), latency_us(&latency, 0.999), latency_us(&latency, 1),
           (unsigned long long)failed, (unsigned long long)lost,
           count > 0 ? (double)answer_bytes / count : 0, own_cpu / seconds);
    if (options.server)
        printf(" server_cpu=%.2f server_us=%.2f server_rss_kib=%lld", server_cpu / seconds,
               count > 0 ? server_cpu * 1e6 / count : 0,
               (long long)process_memory(options.server).resident / 1024);
    printf("\n");
    if (failed)
        fprintf(stderr, "load: %llu failures, the first: %s\n", (unsigned long long)failed,
                first_failure);
}

static void measure(void)
{
    turn_for(options.warm_s);
    measuring = true;
    int64_t start = devices_now();
    double own = process_cpu_s(getpid()), server = process_cpu_s(options.server);
    turn_for(options.seconds);
    own = process_cpu_s(getpid()) - own;
    server = process_cpu_s(options.server) - server;
    measuring = false;
    report((double)(devices_now() - start) / 1e9, own, server);
}

static void run(void)
{
    pthread_t pusher;
    devices = devices_create(
        &(struct devices_config){.to = options.to,
                                 .host = options.host,
                                 .prefix = options.prefix,
                                 .count = options.connections,
                                 .tls = options.tls,
                                 .resume = options.resume,
                                 .clean = options.mode == PUBLISH,
                                 .subscribe = options.mode != PUBLISH && options.mode != CONNECT,
                                 .on_ready = on_ready,
                                 .on_packet = on_packet,
                                 .on_closed = on_closed});
    slots = calloc((size_t)options.connections * options.in_flight, sizeof(*slots));
    if (!slots)
        check_no_memory();
    make_template();
    connect_all();
    start_work();
    if (options.mode == PUSH && pthread_create(&pusher, NULL, push_main, NULL) != 0)
        process_fail("no thread");
    measure();
    working = false;
    if (options.mode == PUSH) {
        turn_for(0.2);
        sem_post(&pushed);
        pthread_join(pusher, NULL);
    }
    devices_destroy(devices);
    free(slots);
    buf_fini(&template.bytes);
}

/* A desired section that makes a twin of some 800 bytes with the patch above. */
static void create_devices(void)
{
    struct buf desired = {0};
    for (int i = 0; i < 12; i++)
        buf_printf(&desired, "%c\"setting_%02d\":{\"value\":%d.5,\"unit\":\"mbar\"}", i ? ',' : '{',
                   i, 1000 + i);
    buf_text(&desired, "}");
    buf_byte(&desired, 0);
    service_create_devices(&service, options.prefix, 0, options.connections,
                           (const char *)desired.data);
    buf_fini(&desired);
}

/* ---- flags ---- */

static const struct option flags[] = {
    {"mode",             required_argument, NULL, 'm'},
    {"to",              required_argument, NULL, 't'},
    {"connections",                  required_argument, NULL, 'n'},
    {"in-flight",required_argument, NULL, 'k'},
    {"seconds",               required_argument, NULL, 's'},
    {"warm",      required_argument, NULL, 'w'},
    {"body",              required_argument, NULL, 'b'},
    {"qos",                  required_argument, NULL, 'q'},
    {"prefix",              required_argument, NULL, 'p'},
    {"tls",               no_argument, NULL, 'T'},
    {"resume",          no_argument, NULL, 'r'},
    {"server",              required_argument, NULL, 'P'},
    {"connection",                  required_argument, NULL, 'c'},
    {"rest",required_argument, NULL, 'R'},
    {"create",               no_argument, NULL, 'C'},
    {"help",             no_argument, NULL, 'h'},
    {0             }
};

static _Noreturn void help(int code)
{
    fputs(
        "load: devices at work\n\n"
        "  --mode patch|get|publish|connect|push   reported patches; twin GETs; QoS 1 publishes;\n"
        "                       CONNECTs; desired patches by REST, one at a time\n"
        "  --to ADDR:PORT       the MQTT listener\n"
        "  --connections N      --in-flight K of each\n"
        "  --seconds S          measured, after --warm S\n"
        "  --body BYTES         of a patch or publish [150]     --qos 0|1 of a patch [0]\n"
        "  --tls                --resume: offer session tickets\n"
        "  --server PID         tell its CPU and memory too\n"
        "  --connection FILE    a service connection string: host name, and REST's key\n"
        "  --rest ADDR:PORT     the plain REST listener; --create: make the devices first\n"
        "  --prefix TEXT        of device ids [load-]\n",
        code ? stderr : stdout);
    exit(code);
}

static void read_mode(const char *text)
{
    for (unsigned i = 0; i < COUNT(mode_names); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            options.mode = (enum mode)i;
            return;
        }
    }
    help(2);
}

static unsigned read_number(const char *text, uint64_t most)
{
    uint64_t number;
    if (!text_u64(span_text(text), &number) || number > most)
        process_fail("\"%s\" is not a number up to %llu", text, (unsigned long long)most);
    return (unsigned)number;
}

static void read_flag(int flag)
{
    /* clang-format off */
    switch (flag) {
    case 'm': read_mode(optarg); break;
    case 't': options.to = service_address(optarg); break;
    case 'n': options.connections = read_number(optarg, 1000000); break;
    case 'k': options.in_flight = read_number(optarg, SLOTS_MAX); break;
    case 's': options.seconds = atof(optarg); break;
    case 'w': options.warm_s = atof(optarg); break;
    case 'b': options.body_len = read_number(optarg, 30000); break;
    case 'q': options.qos = read_number(optarg, 1); break;
    case 'p': options.prefix = optarg; break;
    case 'T': options.tls = true; break;
    case 'r': options.resume = true; break;
    case 'P': options.server = (pid_t)read_number(optarg, 1 << 30); break;
    case 'c': options.connection = optarg; break;
    case 'R': options.rest = service_address(optarg); options.has_rest = true; break;
    case 'C': options.create = true; break;
    case 'h': help(0);
    default: help(2);
    }
    /* clang-format on */
}

int main(int argc, char **argv)
{
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;)
        read_flag(flag);
    if (!options.to.sin_port || !options.connections || !options.in_flight)
        help(2);
    if ((options.create || options.mode == PUSH) && !(options.connection && options.has_rest))
        process_fail("--create and --mode push need --connection and --rest");
    process_raise_files();
    sem_init(&pushed, 0, 0);
    if (options.connection) {
        service_open(&service, options.rest, options.connection);
        options.host = (const char *)service.host.data;
    }
    if (options.create)
        create_devices();
    run();
    service_fini(&service);
    return failed ? 1 : 0;
}
