/* ask.h — something a client asked of the hub and has not heard the end of.
 *
 * Memory   asks are on the heap, in model.asks; their trees are naive.h's, good until the run ends
 */
#ifndef SIM_ASK_H
#define SIM_ASK_H

#include "base/list.h"
#include "base/status.h"
#include "doc/doc_naive.h"

enum { FAMILIES = 8, MODULES = 3, SLOTS = 6 };

/* Who of a family: the device, its modules, the two system modules of an edge device. */
enum slot { SLOT_DEVICE, SLOT_MODULE, SLOT_AGENT = SLOT_MODULE + MODULES, SLOT_HUB };

enum ask_kind {
    /* back ends */
    ASK_PUT, /* an identity: created, or with If-Match changed */
    ASK_GET,
    ASK_DELETE,
    ASK_MODULES,
    ASK_TWIN_GET,
    ASK_TWIN_PATCH,
    ASK_TWIN_PUT,
    ASK_BULK,  /* its entries are asks of their own */
    ASK_ENTRY, /* of a bulk call */
    ASK_LIST,
    ASK_REFUSED, /* whatever the state is, it is answered with `refusal` */
    /* devices and modules */
    ASK_LOGIN,
    ASK_SUBSCRIBE,
    ASK_UNSUBSCRIBE,
    ASK_READ,
    ASK_REPORT,
    ASK_EVENT,
};

enum match { MATCH_NONE, MATCH_ANY, MATCH_TAG };

/* registry 6 */
enum mode {
    MODE_CREATE,
    MODE_CREATE_OR_UPDATE,
    MODE_UPDATE,
    MODE_UPDATE_IF_MATCH,
    MODE_DELETE,
    MODE_DELETE_IF_MATCH,
    MODE_TWIN,
    MODE_TWIN_IF_MATCH,
    MODE_COUNT
};

/* What can be subscribed to here. */
enum { FILTER_RESPONSES = 1, FILTER_DESIRED = 2, FILTER_METHODS = 4, FILTERS_ALL = 7 };

struct ask {
    struct list all;  /* in model.asks */
    struct list line; /* on its connection, in order */
    uint64_t id;
    enum ask_kind kind;
    struct family *family;
    unsigned slot;
    size_t from[FAMILIES]; /* how far each family was when it was sent: no answer is older */
    size_t *floor;         /* its connection's, by family: nor older than earlier answers */
    unsigned jumps;        /* of the wall clock, when it was sent */
    bool lost;             /* its connection has ended: it may still happen, nobody will hear */
    size_t made;           /* the moment it made; 0: none yet */
    bool tried;            /* while another maker is sought (answer.c) */

    enum match match;
    char tag[32];
    int http; /* ASK_REFUSED */
    enum mode mode;
    bool malformed; /* not JSON */
    /* An identity: */
    bool disabled, edge, bad_keys;
    char reason[24];  /* statusReason or managedBy: tells who wrote it */
    char own_key[64]; /* its token is made with the device's key; empty: a policy's */
    char keys[2][64]; /* empty: made by the hub */
    char scope[96];   /* empty: not given */
    const struct naive *tags, *desired; /* NULL: not given */
    /* A device: */
    struct device *device; /* the client */
    const struct naive *patch;
    int64_t if_version;  /* -1: none */
    uint16_t packet_id;  /* 0: none */
    unsigned filters;    /* subscribed or not any more */
    bool clean;          /* ASK_LOGIN */
    bool silent;         /* nothing will be heard of it */
    bool acked;          /* PUBACK has come */
    unsigned top;        /* ASK_LIST */
    struct list entries; /* ASK_BULK: by `line` */
};

#endif
