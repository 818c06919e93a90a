#include "auth/sas.h"

#include "auth/percent.h"

#define SEGMENTS_MAX 5

/* "host:443" is "host"; what follows a colon otherwise is part of the name. */
static struct span without_port(struct span host)
{
    size_t digits = 0;
    while (digits < host.len && host.data[host.len - 1 - digits] >= '0' &&
           host.data[host.len - 1 - digits] <= '9')
        digits++;
    if (digits == 0 || digits > 5 || digits == host.len || host.data[host.len - 1 - digits] != ':')
        return host;
    return span_first(host, host.len - 1 - digits);
}

/* {host}[/devices[/{d}[/modules/{m}]]][/]: 1, 2, 3 or 5 segments, none empty (device-auth 1.3). */
static struct sas_place read_place(struct span text)
{
    const struct sas_place nowhere = {.depth = SAS_NOWHERE};
    struct span seg[SEGMENTS_MAX];
    size_t count = 0;
    if (text.len && text.data[text.len - 1] == '/')
        text.len--;
    for (;; count++) {
        size_t len = span_index(text, '/');
        if (count == SEGMENTS_MAX || len == 0)
            return nowhere;
        seg[count] = span_first(text, len);
        if (len == text.len)
            break;
        text = span_skip(text, len + 1);
    }
    count++;

    static const enum sas_depth depth_of[SEGMENTS_MAX + 1] = {
        [1] = SAS_HUB, [2] = SAS_DEVICES, [3] = SAS_DEVICE, [5] = SAS_MODULE};
    struct sas_place p = {.depth = depth_of[count], .host = without_port(seg[0])};
    if (p.host.len == 0 || (count >= 2 && !span_eq_nocase(seg[1], SPAN("devices"))) ||
        (count >= 4 && !span_eq_nocase(seg[3], SPAN("modules"))))
        return nowhere;
    if (p.depth >= SAS_DEVICE)
        p.device = seg[2];
    if (p.depth >= SAS_MODULE)
        p.module = seg[4];
    return p;
}

void sas_scope_read(const struct sas *t, struct sas_scope *out)
{
    struct span text = t->resource;
    out->level[0] = read_place(text);
    for (out->levels = 1; out->levels < COUNT(out->level); out->levels++) {
        uint8_t *decoded = out->text[out->levels - 1];
        size_t len;
        /* Decoding never lengthens, and sas_parse bounded the text. */
        bool fits = percent_decode(text, decoded, SAS_RESOURCE_MAX, &len);
        CHECK(fits);
        if (len == text.len)
            return; /* nothing was encoded any more */
        text = span_of(decoded, len);
        out->level[out->levels] = read_place(text);
    }
}

static bool place_covers(const struct sas_place *p, struct span device, struct span module)
{
    switch (p->depth) {
    case SAS_NOWHERE:
        return false;
    case SAS_HUB:
    case SAS_DEVICES:
        return true;
    case SAS_DEVICE:
        return span_eq_nocase(p->device, device);
    case SAS_MODULE:
        return span_eq_nocase(p->device, device) && span_eq_nocase(p->module, module);
    }
    return false;
}

static bool is_host(struct span name, const struct span *hosts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_eq_nocase(hosts[i], name))
            return true;
    return false;
}

enum sas_depth sas_scope_covers(const struct sas_scope *scope, const struct span *hosts,
                                size_t host_count, struct span device, struct span module)
{
    enum sas_depth widest = SAS_NOWHERE;
    for (size_t i = 0; i < scope->levels; i++) {
        const struct sas_place *p = &scope->level[i];
        if (is_host(p->host, hosts, host_count) && place_covers(p, device, module) &&
            (widest == SAS_NOWHERE || p->depth < widest))
            widest = p->depth;
    }
    return widest;
}
