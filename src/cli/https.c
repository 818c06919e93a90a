#include "cli/https.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>

enum { CONNECT_MS = 5000, ANSWER_MS = 30000 };

/* Loaded when first used: linked in, it and the thirty libraries it needs would cost a hub that
 * never calls anybody 15 ms of its start and 4 MiB of memory (design 8, 10). */
#define LIBRARY "libcurl.so.4"
/* clang-format off */
#define FUNCTIONS(X) \
    X(global_init) X(global_cleanup) X(easy_init) X(easy_cleanup) X(easy_reset) X(easy_setopt) \
    X(easy_perform) X(easy_getinfo) X(easy_header) X(easy_strerror) X(slist_append) \
    X(slist_free_all)
/* clang-format on */

static struct {
#define DECLARE(name) __typeof__(curl_##name) *name;
    FUNCTIONS(DECLARE)
#undef DECLARE
} libcurl;

struct https {
    CURL *handle;
    const char *scheme;
    char error[CURL_ERROR_SIZE];
};

static bool load(struct buf *why)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool ok = library != NULL;
#define FIND(name) ok = ok && (*(void **)&libcurl.name = dlsym(library, "curl_" #name)) != NULL;
    FUNCTIONS(FIND)
#undef FIND
    if (!ok)
        buf_text(why, dlerror());
    return ok;
}

struct https *https_open(const char *scheme, struct buf *why)
{
    if (!libcurl.slist_free_all && !load(why))
        return NULL;
    struct https *h = calloc(1, sizeof(*h));
    if (!h)
        check_no_memory();
    libcurl.global_init(CURL_GLOBAL_DEFAULT);
    h->handle = libcurl.easy_init();
    if (!h->handle)
        check_no_memory();
    h->scheme = scheme;
    return h;
}

void https_close(struct https *h)
{
    if (!h)
        return;
    libcurl.easy_cleanup(h->handle);
    libcurl.global_cleanup();
    free(h);
}

/* Less than all of it ends the transfer. */
static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
    struct buf *body = ctx;
    (void)one;
    if (body->len + len > HTTPS_REPLY_MAX)
        return 0;
    buf_put(body, span_of(data, len));
    return len;
}

static void set_up(struct https *h, const struct https_request *r, struct curl_slist *headers,
                   struct buf *body)
{
    CURL *handle = h->handle;
    libcurl.easy_reset(handle); /* the connection stays */
    libcurl.easy_setopt(handle, CURLOPT_URL, r->url);
    libcurl.easy_setopt(handle, CURLOPT_PROTOCOLS_STR, h->scheme);
    libcurl.easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
    libcurl.easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    libcurl.easy_setopt(handle, CURLOPT_CUSTOMREQUEST, r->method);
    libcurl.easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    libcurl.easy_setopt(handle, CURLOPT_USERAGENT, "twinhub/" TWINHUB_VERSION);
    if (r->body.data) {
        libcurl.easy_setopt(handle, CURLOPT_POSTFIELDS, r->body.data);
        libcurl.easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
    }
    libcurl.easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    libcurl.easy_setopt(handle, CURLOPT_WRITEDATA, body);
    libcurl.easy_setopt(handle, CURLOPT_ERRORBUFFER, h->error);
    libcurl.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    libcurl.easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    libcurl.easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    if (r->direct)
        libcurl.easy_setopt(handle, CURLOPT_PROXY, "");
    if (r->ca) { /* and no other: the system's directory would be believed beside it */
        libcurl.easy_setopt(handle, CURLOPT_CAINFO, r->ca);
        libcurl.easy_setopt(handle, CURLOPT_CAPATH, NULL);
    }
}

static enum https_end end_of(CURL *handle, CURLcode code)
{
    curl_off_t sent = 0;
    switch ((int)code) {
    case CURLE_OK:
        return HTTPS_ANSWERED;
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTPS_UNTRUSTED;
    case CURLE_SSL_CACERT_BADFILE:
        return HTTPS_BAD_CA;
    case CURLE_COULDNT_CONNECT: /* also once a kept connection turned out to be dead */
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTPS_UNREACHABLE;
    default: /* a time-out for one: before the request left, or after? */
        libcurl.easy_getinfo(handle, CURLINFO_PRETRANSFER_TIME_T, &sent);
        return sent ? HTTPS_LOST : HTTPS_UNREACHABLE;
    }
}

enum https_end https_call(struct https *h, const struct https_request *request,
                          struct https_reply *out, struct buf *why)
{
    /* Never wait for a 100 Continue. */
    struct curl_slist *headers = libcurl.slist_append(NULL, "Expect:"), *more;
    for (size_t i = 0; i < HTTPS_HEADERS_MAX && request->headers[i]; i++) {
        more = libcurl.slist_append(headers, request->headers[i]);
        if (!more)
            check_no_memory();
        headers = more;
    }
    out->status = 0;
    out->error_code[0] = 0;
    buf_clear(&out->body);
    h->error[0] = 0;
    set_up(h, request, headers, &out->body);
    CURLcode code = libcurl.easy_perform(h->handle);
    libcurl.slist_free_all(headers);

    enum https_end end = end_of(h->handle, code);
    if (end != HTTPS_ANSWERED) {
        buf_text(why, h->error[0] ? h->error : libcurl.easy_strerror(code));
        return end;
    }
    struct curl_header *header;
    libcurl.easy_getinfo(h->handle, CURLINFO_RESPONSE_CODE, &out->status);
    if (libcurl.easy_header(h->handle, "iothub-errorcode", 0, CURLH_HEADER, -1, &header) ==
            CURLHE_OK &&
        strlen(header->value) < sizeof(out->error_code))
        memcpy(out->error_code, header->value, strlen(header->value) + 1);
    return end;
}
