#include "cli/https.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { CONNECT_MS = 5000, ANSWER_MS = 30000 };

struct https {
    CURL *curl;
    const char *scheme;
    char error[CURL_ERROR_SIZE];
};

struct https *https_open(const char *scheme)
{
    struct https *h = calloc(1, sizeof(*h));
    if (!h)
        check_no_memory();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    h->curl = curl_easy_init();
    if (!h->curl)
        check_no_memory();
    h->scheme = scheme;
    return h;
}

void https_close(struct https *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    curl_global_cleanup();
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
    CURL *curl = h->curl;
    curl_easy_reset(curl); /* the connection stays */
    curl_easy_setopt(curl, CURLOPT_URL, r->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, h->scheme);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "twinhub/" TWINHUB_VERSION);
    if (r->body.data) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body.data);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, h->error);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    if (r->direct)
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (r->ca) { /* and no other: the system's directory would be believed beside it */
        curl_easy_setopt(curl, CURLOPT_CAINFO, r->ca);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

static enum https_end end_of(CURL *curl, CURLcode code)
{
    curl_off_t connected = 0;
    switch ((int)code) {
    case CURLE_OK:
        return HTTPS_ANSWERED;
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTPS_UNTRUSTED;
    case CURLE_SSL_CACERT_BADFILE:
        return HTTPS_BAD_CA;
    default:
        /* The moment TLS was done; without TLS, or before that, 0. */
        curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &connected);
        return connected ? HTTPS_LOST : HTTPS_UNREACHABLE;
    }
}

enum https_end https_call(struct https *h, const struct https_request *request,
                          struct https_reply *out, struct buf *why)
{
    /* Never wait for a 100 Continue. */
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:"), *more;
    for (size_t i = 0; i < HTTPS_HEADERS_MAX && request->headers[i]; i++) {
        more = curl_slist_append(headers, request->headers[i]);
        if (!more)
            check_no_memory();
        headers = more;
    }
    out->status = 0;
    out->error_code[0] = 0;
    buf_clear(&out->body);
    h->error[0] = 0;
    set_up(h, request, headers, &out->body);
    CURLcode code = curl_easy_perform(h->curl);
    curl_slist_free_all(headers);

    enum https_end end = end_of(h->curl, code);
    if (end != HTTPS_ANSWERED) {
        buf_text(why, h->error[0] ? h->error : curl_easy_strerror(code));
        return end;
    }
    struct curl_header *header;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &out->status);
    if (curl_easy_header(h->curl, "iothub-errorcode", 0, CURLH_HEADER, -1, &header) == CURLHE_OK &&
        strlen(header->value) < sizeof(out->error_code))
        memcpy(out->error_code, header->value, strlen(header->value) + 1);
    return end;
}
