#include "cli/serve.h"
#include "cli/cli.h"
#include "cli/policies.h"
#include "cli/settings.h"
#include "cli/store_metrics.h"
#include "net/logger.h"
#include "net/net.h"
#include "net/pki.h"
#include "net/system.h"
#include "net/ticket.h"
#include "shard/shard.h"
#include "store/embedded_dir.h"
#include "store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    STOP_MS = 8000, /* to answer what is in flight; with closing, under the ten seconds promised */
    STOP_CLOSE_MS = 1000,
    DAY_MS = 86400000,
    CHECKPOINT_MS = 500, /* to bring the base up to date; the journal has the rest */
    RECENT_MAX = 4096,   /* live entities a shard keeps though nobody needs them */
    MODULES_MAX = 50,
    HOSTS_MAX = SETTING_LIST_MAX + 8,
};

struct hub_process {
    struct settings settings;
    struct embedded_dir *dir;
    struct store *stores[256];
    struct policies policies;
    struct pki *pki;
    struct net *net;
    struct logger *logger;
    struct cluster cluster;
    struct shard *shards[256];
    pthread_t threads[256];
    struct span hosts[HOSTS_MAX];
    struct span cas[CERTIFICATES_MAX];
    uint8_t *ca_bytes[CERTIFICATES_MAX]; /* what the spans point to; owned */
    struct buf host_name;                /* the machine's */
    uint16_t ports[4];                   /* in use: mqtts, https, mqtt, http */
    atomic_uint stopped;
    bool stopping;
    int64_t stop_by_ms;
    int64_t renew_ms; /* when the certificates are looked at next */
    bool renewed;     /* and are newer than those in use */
};

/* ---- what the shards are given ---- */

static struct now world_clock(void *ctx)
{
    (void)ctx;
    return system_now();
}

static void world_wake(void *ctx, unsigned shard)
{
    net_wake(((struct hub_process *)ctx)->net, shard);
}

static void world_log(void *ctx, struct span line)
{
    logger_put(((struct hub_process *)ctx)->logger, line);
}

static void world_put_ca(void *ctx, struct buf *out)
{
    pki_ca_pem(((struct hub_process *)ctx)->pki, out);
}

static void world_put_metrics(void *ctx, struct buf *out)
{
    store_metrics_put(out, embedded_dir_keeper(((struct hub_process *)ctx)->dir));
}

static void say(struct hub_process *p, enum log_level level, const char *msg, const char *why)
{
    struct buf line = {0};
    bool json = p->settings.log_json;
    if (level > p->settings.level)
        return;
    log_begin(&line, json, system_now(), level, msg);
    if (why)
        log_text(&line, json, "why", span_text(why));
    log_end(&line, json);
    logger_put(p->logger, buf_span(&line));
    buf_fini(&line);
}

/* The store cannot write any more: nothing is acknowledged after this (design 4). The exit is at
 * once: what was acknowledged is on disk, and what was not must not look as if it were. */
static void world_fatal(void *ctx, enum status st)
{
    static atomic_flag ending = ATOMIC_FLAG_INIT;
    struct hub_process *p = ctx;
    (void)st;
    while (atomic_flag_test_and_set(&ending))
        pause(); /* another shard was told as well, and is ending the process */
    say(p, LOG_ERROR, "the store failed; stopping", embedded_why(embedded_dir_keeper(p->dir)));
    logger_finish(p->logger);
    _exit(EXIT_FAILED);
}

static void world_stopped(void *ctx, unsigned shard)
{
    struct hub_process *p = ctx;
    (void)shard;
    atomic_fetch_add(&p->stopped, 1);
    net_wake_main(p->net);
}

/* ---- the main thread while it runs ---- */

static void on_signal(void *ctx, int signum)
{
    struct hub_process *p = ctx;
    if (signum == SIGHUP || p->stopping)
        return;
    p->stopping = true;
    p->stop_by_ms = system_now().mono_ms + STOP_MS;
    say(p, LOG_INFO, "stopping", NULL);
    net_stop_accepting(p->net);
    for (unsigned i = 0; i < p->cluster.count; i++)
        shard_stop(p->shards[i]);
}

static void stop_if_done(struct hub_process *p, struct now now)
{
    if (!p->stopping || p->stop_by_ms == 0)
        return;
    if (atomic_load(&p->stopped) < p->cluster.count && now.mono_ms < p->stop_by_ms)
        return;
    p->stop_by_ms = 0;
    net_stop(p->net, STOP_CLOSE_MS);
}

static void on_wake(void *ctx)
{
    stop_if_done(ctx, system_now());
}

static void renew_certificates(struct hub_process *p, struct now now)
{
    struct buf why = {0};
    bool changed;
    if (now.mono_ms < p->renew_ms)
        return;
    p->renew_ms = now.mono_ms + DAY_MS;
    bool renewed = pki_renew(p->pki, now, &changed, &why);
    p->renewed |= changed; /* one of two, perhaps, and until they could be loaded */
    struct net_certificate ready[2];
    if (p->renewed)
        p->renewed = !net_certificates(p->net, ready, pki_certificates(p->pki, ready), &why);
    if (!renewed || p->renewed) {
        buf_byte(&why, 0);
        say(p, LOG_ERROR, "the certificate cannot be renewed", (const char *)why.data);
    }
    buf_fini(&why);
}

static void on_second(void *ctx, struct now now)
{
    stop_if_done(ctx, now);
    renew_certificates(ctx, now);
}

static void on_rsa(void *ctx, bool ok, struct span why)
{
    struct hub_process *p = ctx;
    struct net_certificate certificates[2];
    struct buf text = {0};
    if (ok)
        ok = net_certificates(p->net, certificates, pki_certificates(p->pki, certificates), &text);
    else
        buf_put(&text, why);
    buf_byte(&text, 0);
    if (!ok)
        say(p, LOG_WARN, "no RSA certificate", (const char *)text.data);
    buf_fini(&text);
}

/* A page of the base that cannot be read: the file was cut off, or the disk failed (design 4). */
static void on_bus_error(int signum)
{
    static const char line[] = "level=error msg=\"the data cannot be read\"\n";
    (void)signum;
    (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
    _exit(EXIT_FAILED);
}

static void *shard_main(void *arg)
{
    struct shard *s = arg;
    struct hub_process *p = s->cluster->ctx;
    net_loop_run(p->net, s->index, &shard_events, s);
    return NULL;
}

/* ---- set-up ---- */

/* Segments are no larger than half of the tail: what the base has is given back in such pieces. */
static uint32_t segment_size(uint64_t tail, uint32_t most)
{
    uint64_t half = tail / 2 / SEGMENT_HEAD * SEGMENT_HEAD;
    return half < most ? (uint32_t)half : most;
}

static unsigned shards_wanted(const struct settings *set)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return set->shards ? (unsigned)set->shards : cores > 0 ? (unsigned)cores : 1;
}

static bool open_store(struct hub_process *p, struct buf *why)
{
    const struct settings *set = &p->settings;
    struct embedded_dir_options options = {
        .path = set->data,
        .partitions = (uint32_t)set->partitions,
        .keeper = {.random = system_random(),
                   .clock = world_clock,
                   .replay = &hub_replay,
                   .async = set->async,
                   .replay_threads = shards_wanted(set),
                   .tail_max = set->journal_tail,
                   .segment_min = segment_size(set->journal_tail, SEGMENT_MIN),
                   .segment_max = segment_size(set->journal_tail, SEGMENT_MAX),
                   .hot_max = set->hot_memory,
                   .history_ms = set->history_ms,
                   .history_size = set->history_size}
    };
    if (embedded_dir_open(&options, &p->dir, why) != OK)
        return false;
    /* What is the hub's own is in the first partition; as a shard's, it costs nothing to hand out.
     */
    struct store *boot = embedded_shard(embedded_dir_keeper(p->dir), 0, shards_wanted(set));
    enum status st = policies_open(boot, system_random(), system_now(), &p->policies, why);
    if (st != OK)
        return false;
    if (set->owner_key) {
        struct policy owner = *policy_find(&p->policies, SPAN("iothubowner"));
        if (!key_parse(span_text(set->owner_key), &owner.keys[0])) {
            buf_text(why, "--owner-key takes 16 to 64 bytes in base64");
            return false;
        }
        if (policy_set(&p->policies, &owner) != OK)
            return false;
    }
    return true;
}

/* Bound to one address, the hub is reached by that: it is a name like those of --host, and the
 * first when there is no other. */
static void name_bound_address(struct settings *set)
{
    bool everywhere = strcmp(set->bind, "0.0.0.0") == 0 || strcmp(set->bind, "::") == 0;
    for (unsigned i = 0; i < set->hosts.count; i++)
        if (strcmp(set->hosts.at[i], set->bind) == 0)
            return;
    if (everywhere || set->hosts.count == SETTING_LIST_MAX)
        return;
    char *name = strdup(set->bind);
    if (!name)
        check_no_memory();
    set->hosts.at[set->hosts.count++] = name;
}

static void name_hosts(struct hub_process *p)
{
    const struct settings *set = &p->settings;
    struct credential_rules *rules = &p->cluster.rules;
    char name[256] = "localhost";
    if (gethostname(name, sizeof(name) - 1) == 0)
        buf_text(&p->host_name, name);
    for (unsigned i = 0; i < set->hosts.count; i++)
        p->hosts[rules->host_count++] = span_text(set->hosts.at[i]);
    p->hosts[rules->host_count++] = SPAN("localhost");
    p->hosts[rules->host_count++] = SPAN("127.0.0.1");
    p->hosts[rules->host_count++] = SPAN("::1");
    p->hosts[rules->host_count++] = buf_span(&p->host_name);
    rules->hosts = p->hosts;
    rules->policies = &p->policies;
    rules->cas = p->cas;
}

/* The hub's short name: the first label of its host name; an address is its own name. */
static struct span short_name(struct span host)
{
    bool is_address = host.len && host.data[host.len - 1] >= '0' && host.data[host.len - 1] <= '9';
    return is_address ? host : span_first(host, span_index(host, '.'));
}

static void make_cluster(struct hub_process *p)
{
    const struct settings *set = &p->settings;
    struct cluster *c = &p->cluster;
    c->count = shards_wanted(set);
    c->shards = p->shards;
    c->partitions = embedded_dir_directory(p->dir)->header.partitions;
    if (c->count > c->partitions)
        c->count = c->partitions;
    if (c->count > COUNT(p->shards))
        c->count = COUNT(p->shards);
    c->hub = (struct hub_config){
        .name = short_name(c->rules.hosts[0]),
        .limits = set->relaxed ? &doc_limits_relaxed : &doc_limits_azure,
        .partitions = c->partitions,
        .modules_max = MODULES_MAX,
        .recent_max = RECENT_MAX,
    };
    c->token_grace_s = (int64_t)set->token_grace_s;
    c->async = set->async;
    c->log_level = set->level;
    c->log_json = set->log_json;
    c->ctx = p;
    c->clock = world_clock;
    c->wake = world_wake;
    c->log = world_log;
    c->put_ca = world_put_ca;
    c->put_metrics = world_put_metrics;
    c->fatal = world_fatal;
    c->stopped = world_stopped;
}

static bool open_net(struct hub_process *p, struct buf *why)
{
    const struct settings *set = &p->settings;
    struct now now = system_now();
    p->pki = pki_open(set->data, (const char *const *)set->hosts.at, set->hosts.count,
                      system_random(), now, why);
    if (!p->pki)
        return false;
    p->renew_ms = now.mono_ms + DAY_MS; /* what is in date now is so for longer */
    struct net_config config = net_defaults(p->cluster.count, system_random());
    _Static_assert((int)SEAL_KEY == TICKET_SECRET, "the one is used for the other");
    config.ticket_secret = embedded_dir_directory(p->dir)->master_key;
    p->net = net_create(&config, why);
    struct net_certificate certificates[2];
    if (!p->net ||
        !net_certificates(p->net, certificates, pki_certificates(p->pki, certificates), why))
        return false;
    pki_start_rsa(p->pki, on_rsa, p);
    const struct {
        const char *flag;
        uint64_t port;
        enum link_kind kind;
        bool tls;
        unsigned instead; /* a port that needs no right */
    } listeners[] = {
        {"mqtts", set->mqtts, LINK_MQTT, true,  8884},
        {"https", set->https, LINK_HTTP, true,  8443},
        {"mqtt",  set->mqtt,  LINK_MQTT, false, 1884},
        {"http",  set->http,  LINK_HTTP, false, 8080}
    };
    for (size_t i = 0; i < COUNT(listeners); i++) {
        if (!listeners[i].port)
            continue;
        struct net_address at = {set->bind, (uint16_t)listeners[i].port, listeners[i].kind,
                                 listeners[i].tls};
        if (!net_listen(p->net, &at, &p->ports[i], why)) {
            buf_printf(why, "; choose another port with --%s %u", listeners[i].flag,
                       listeners[i].instead);
            if (at.port < 1024)
                buf_text(
                    why,
                    ", or allow this one: sudo sysctl net.ipv4.ip_unprivileged_port_start=443");
            return false;
        }
    }
    return true;
}

/* ---- what a person reads ---- */

void serve_put_connection_string(struct buf *b, struct span host, unsigned https,
                                 const struct policy *policy)
{
    buf_printf(b, "HostName=%.*s", SPAN_ARG(host));
    if (https && https != 443)
        buf_printf(b, ":%u", https);
    buf_printf(b, ";SharedAccessKeyName=%.*s;SharedAccessKey=", SPAN_ARG(policy_name(policy)));
    text_put_base64(b, key_span(&policy->keys[0]));
}

/* DIR/connection-string, which the client commands read. */
static bool write_connection(struct hub_process *p, struct buf *text, struct buf *why)
{
    struct buf path = {0}, next = {0};
    buf_printf(&path, "%s/connection-string", p->settings.data);
    buf_byte(&path, 0);
    buf_printf(&next, "%s.new", (char *)path.data);
    buf_byte(&next, 0);
    int fd = open((char *)next.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text->data, text->len) == (ssize_t)text->len &&
              rename((char *)next.data, (char *)path.data) == 0;
    if (!ok)
        buf_printf(why, "%s: %s", (char *)path.data, strerror(errno));
    if (fd >= 0)
        close(fd);
    buf_fini(&path);
    buf_fini(&next);
    return ok;
}

static void put_next(struct buf *out, const char *data, unsigned https)
{
    if (!https) {
        buf_text(out, "\n\nThe client commands (twinhub device, module, twin) need HTTPS: --https "
                      "PORT.\n");
        return;
    }
    buf_text(out, "\n\nNext, in another terminal:\n  twinhub device create d1");
    struct buf initial = {0};
    settings_default_data(&initial);
    if (!span_eq(buf_span(&initial), span_text(data)))
        buf_printf(out, " --data %s", data);
    buf_fini(&initial);
    buf_text(out, "\n");
}

static bool tell(struct hub_process *p, struct buf *why)
{
    static const char *const names[] = {"MQTT over TLS", "REST and MQTT over WebSocket, TLS",
                                        "MQTT, plain", "REST, plain"};
    struct buf out = {0}, connection = {0};
    const struct settings *set = &p->settings;
    serve_put_connection_string(&connection, p->hosts[0], p->ports[1],
                                policy_find(&p->policies, SPAN("iothubowner")));
    bool ok = write_connection(p, &connection, why);
    buf_text(&out, "twinhub " TWINHUB_VERSION " is running.\n\n");
    for (size_t i = 0; i < COUNT(names); i++)
        if (p->ports[i])
            buf_printf(&out, "  %-36s %s:%u\n", names[i], set->bind, p->ports[i]);
    buf_printf(&out, "  %-36s %s%s\n", "data", set->data,
               set->async ? "   (durability async: the last 100 ms can be lost)" : "");
    buf_printf(&out, "  %-36s %s\n  %-36s SHA-256 ", "CA certificate, for clients to trust",
               pki_ca_path(p->pki), "");
    pki_fingerprint(p->pki, &out);
    buf_text(&out, "\n\nService connection string (policy iothubowner):\n  ");
    buf_put(&out, buf_span(&connection));
    put_next(&out, set->data, p->ports[1]);
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_fini(&out);
    buf_fini(&connection);
    return ok;
}

/* ---- the whole ---- */

static bool set_up(struct hub_process *p, struct buf *why)
{
    name_bound_address(&p->settings);
    name_hosts(p);
    if (!serve_read_certificates(&p->settings.device_cas, p->ca_bytes, p->cas,
                                 &p->cluster.rules.ca_count, why))
        return false;
    if (!open_store(p, why))
        return false;
    make_cluster(p);
    if (!open_net(p, why))
        return false;
    for (unsigned i = 0; i < p->cluster.count; i++) {
        p->stores[i] = embedded_shard(embedded_dir_keeper(p->dir), i, p->cluster.count);
        p->shards[i] = shard_create(i, &p->cluster, p->stores[i], system_random());
    }
    return tell(p, why);
}

static void run(struct hub_process *p)
{
    for (unsigned i = 0; i < p->cluster.count; i++) {
        if (pthread_create(&p->threads[i], NULL, shard_main, p->shards[i]) != 0)
            check_no_memory(); /* for its stack */
    }
    struct net_main events = {
        .on_signal = on_signal, .on_wake = on_wake, .on_second = on_second, .ctx = p};
    say(p, LOG_INFO, "running", NULL);
    net_run(p->net, &events);
    for (unsigned i = 0; i < p->cluster.count; i++)
        pthread_join(p->threads[i], NULL);
}

static void tear_down(struct hub_process *p)
{
    for (unsigned i = 0; i < p->cluster.count; i++) {
        if (p->stores[i])
            store_close(p->stores[i]);
        shard_destroy(p->shards[i]);
    }
    pki_close(p->pki);
    net_destroy(p->net);
    embedded_dir_close(p->dir, CHECKPOINT_MS);
    for (size_t i = 0; i < p->cluster.rules.ca_count; i++)
        free(p->ca_bytes[i]);
    explicit_bzero(&p->policies, sizeof(p->policies));
    buf_fini(&p->host_name);
    settings_fini(&p->settings);
}

static int help(void)
{
    struct buf b = {0};
    buf_text(&b, "twinhub serve: run the hub\n\n"
                 "Each setting is a flag, an environment variable (TWINHUB_TOKEN_GRACE for\n"
                 "--token-grace) and a line of the configuration file (token-grace = 60).\n\n");
    settings_put_help(&b);
    buf_text(&b, "\nExample:\n  twinhub serve --data ./hub --host hub.example.test --https 8443\n");
    fwrite(b.data, 1, b.len, stdout);
    buf_fini(&b);
    return EXIT_OK;
}

int cli_serve(int argc, char **argv)
{
    static struct hub_process process;
    struct hub_process *p = &process;
    struct buf why = {0};
    system_memory();
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return help();
    if (!settings_read(&p->settings, argc, argv, environ, &why)) {
        fprintf(stderr, "twinhub serve: %.*s\n", SPAN_ARG(buf_span(&why)));
        buf_fini(&why);
        return EXIT_USAGE;
    }
    system_prepare();
    signal(SIGBUS, on_bus_error);
    p->logger = logger_create(STDERR_FILENO, 1 << 20, p->settings.log_json);
    bool ok = set_up(p, &why);
    if (ok)
        run(p);
    else
        fprintf(stderr, "twinhub serve: %.*s\n", SPAN_ARG(buf_span(&why)));
    tear_down(p);
    logger_destroy(p->logger);
    buf_fini(&why);
    return ok ? EXIT_OK : EXIT_CONFIG;
}
