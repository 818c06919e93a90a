#include "doc/doc_node.h"

#include "base/text.h"
#include "doc/doc_index.h"
#include "doc/doc_number.h"

/* One pass from text to nodes: a member's head is left open, its key is unescaped in place behind
 * it, the value follows, and then the head is filled in. */
struct parser {
    const uint8_t *at, *end; /* text */
    uint8_t *out, *out_end;  /* room */
    uint32_t depth, depth_max, number_max;
};

enum {
    FEW_KEYS = 16, /* up to here duplicates are looked for by comparing */
    BOM_LEN = 3,
    ARENA_SLACK = 8, /* what arena_bytes may skip */
};

static size_t text_left(const struct parser *p)
{
    return (size_t)(p->end - p->at);
}

static size_t room_left(const struct parser *p)
{
    return (size_t)(p->out_end - p->out);
}

/* The next byte, 0 at the end: no text may continue with either. */
static uint8_t peek(const struct parser *p)
{
    return p->at < p->end ? *p->at : 0;
}

static uint8_t peek_past_space(struct parser *p)
{
    uint8_t c;
    while ((c = peek(p)) <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
        p->at++;
    return c;
}

/* ---- strings ------------------------------------------------------------------------------ */

static bool parse_hex4(struct parser *p, uint32_t *out)
{
    uint8_t pair[2];
    size_t len;
    if (text_left(p) < 4 || !text_hex(span_of(p->at, 4), pair, sizeof(pair), &len))
        return false;
    *out = (uint32_t)pair[0] << 8 | pair[1];
    p->at += 4;
    return true;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (uint8_t)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *out++ = (uint8_t)(0xe0 | c >> 12);
        *out++ = (uint8_t)(0x80 | (c >> 6 & 63));
    } else {
        *out++ = (uint8_t)(0xf0 | c >> 18);
        *out++ = (uint8_t)(0x80 | (c >> 12 & 63));
        *out++ = (uint8_t)(0x80 | (c >> 6 & 63));
    }
    *out++ = (uint8_t)(0x80 | (c & 63));
    return out;
}

/* After "\u". RFC 8259 section 7: a character beyond U+FFFF is two escapes; half a pair is none. */
static enum status parse_code_point(struct parser *p)
{
    uint32_t c, low;
    if (!parse_hex4(p, &c) || (c >= 0xdc00 && c <= 0xdfff))
        return BAD_FORMAT;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!span_starts(span_of(p->at, text_left(p)), SPAN("\\u")))
            return BAD_FORMAT;
        p->at += 2;
        if (!parse_hex4(p, &low) || low < 0xdc00 || low > 0xdfff)
            return BAD_FORMAT;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    p->out = put_utf8(p->out, c);
    return OK;
}

/* At a backslash. */
static enum status parse_escape(struct parser *p)
{
    static const uint8_t plain[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                       ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    p->at++;
    uint8_t c = peek(p);
    if (plain[c]) {
        *p->out++ = plain[c];
        p->at++;
        return OK;
    }
    if (c != 'u')
        return BAD_FORMAT;
    p->at++;
    return parse_code_point(p);
}

/* Copy characters that stand for themselves, eight at a time, up to one that does not or until
 * less than eight are left. The lowest bit set in `stop` is exact: a borrow only runs upward. */
static void copy_plain(struct parser *p)
{
    const uint64_t ones = 0x0101010101010101, highs = ones << 7;
    while (text_left(p) >= 8 && room_left(p) >= 8) {
        uint64_t word = load_u64le(p->at);
        uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
        uint64_t stop = (((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
                         ((slash - ones) & ~slash) | word) &
                        highs;
        memcpy(p->out, p->at, 8);
        size_t n = stop ? (size_t)__builtin_ctzll(stop) / 8 : 8;
        p->at += n;
        p->out += n;
        if (n < 8)
            return;
    }
}

/* At the opening quote: its bytes go to p->out. No string is longer unescaped than as text. */
static enum status parse_string(struct parser *p)
{
    p->at++;
    for (;;) {
        copy_plain(p);
        if (room_left(p) < 4)
            return TOO_LARGE;
        uint8_t c = peek(p);
        if (c == '"') {
            p->at++;
            return OK;
        }
        if (c == '\\') {
            TRY(parse_escape(p));
            continue;
        }
        size_t n = c < 0x20 ? 0 : text_utf8_len(span_of(p->at, text_left(p)));
        if (n == 0)
            return BAD_FORMAT;
        p->out = node_put(p->out, p->at, n);
        p->at += n;
    }
}

/* ---- duplicate keys ----------------------------------------------------------------------- */

/* Of an object whose members stand from `children` to p->out: keep of each key the last member, at
 * the place of the first. The index and the copy stand behind the output. */
static enum status drop_duplicates(struct parser *p, uint8_t *children, size_t *count)
{
    size_t len = (size_t)(p->out - children), index_size = doc_index_size(*count);
    size_t gap = -(uintptr_t)p->out & 15;
    if (room_left(p) < gap + index_size)
        return TOO_LARGE;
    struct doc_index ix;
    doc_index_init(&ix, p->out + gap, *count);
    for (struct doc_node n = {children}; n.at != p->out; n = node_after(n))
        doc_index_add(&ix, node_key(n))->value = (uint64_t)(n.at - children);
    if (ix.count == *count)
        return OK;
    uint8_t *copy = p->out + gap + index_size;
    if ((size_t)(p->out_end - copy) < len)
        return TOO_LARGE;
    memcpy(copy, children, len);
    p->out = children;
    for (uint32_t i = 0; i < ix.count; i++) {
        struct doc_node last = {copy + ix.keys[i].value};
        p->out = node_put(p->out, last.at, node_size(last));
    }
    *count = ix.count;
    return OK;
}

/* A guess, never wrong when it says no: may an earlier key of these equal this one? */
static bool may_repeat(uint64_t *seen, struct span key)
{
    uint64_t bit = (uint64_t)1 << ((key.len * 7 + (key.len ? key.data[0] : 0)) & 63);
    bool repeat = *seen & bit;
    *seen |= bit;
    return repeat;
}

static bool has_key(const uint8_t *children, const uint8_t *end, struct span key)
{
    for (struct doc_node n = {children}; n.at != end; n = node_after(n))
        if (node_key_len(n) == key.len && span_eq(node_key(n), key))
            return true;
    return false;
}

/* ---- values ------------------------------------------------------------------------------- */

static enum status parse_value(struct parser *p, uint8_t *node, size_t key_len);

/* A member from its opening quote on. */
static enum status parse_member(struct parser *p, struct span *key)
{
    uint8_t *member = p->out;
    if (room_left(p) < NODE_HEAD)
        return TOO_LARGE;
    p->out += NODE_HEAD;
    if (peek(p) != '"')
        return BAD_FORMAT;
    TRY(parse_string(p));
    *key = span_of(member + NODE_HEAD, (size_t)(p->out - member) - NODE_HEAD);
    if (key->len > NODE_KEY_MAX || peek_past_space(p) != ':')
        return BAD_FORMAT;
    p->at++;
    return parse_value(p, member, key->len);
}

/* At '{'; the room for the count is there. */
static enum status parse_object(struct parser *p, size_t *count)
{
    uint8_t *children = p->out;
    uint64_t seen = 0;
    bool twice = false;
    p->at++;
    if (peek_past_space(p) == '}') {
        p->at++;
        return OK;
    }
    for (;;) {
        uint8_t *member = p->out;
        struct span key;
        TRY(parse_member(p, &key));
        if (*count < FEW_KEYS && may_repeat(&seen, key) && has_key(children, member, key))
            twice = true;
        ++*count;
        uint8_t c = peek_past_space(p);
        if (c != ',' && c != '}')
            return BAD_FORMAT;
        p->at++;
        if (c == '}')
            break;
        peek_past_space(p);
    }
    return twice || *count > FEW_KEYS ? drop_duplicates(p, children, count) : OK;
}

/* At '['. */
static enum status parse_array(struct parser *p, size_t *count)
{
    p->at++;
    if (peek_past_space(p) == ']') {
        p->at++;
        return OK;
    }
    for (;;) {
        uint8_t *element = p->out;
        if (room_left(p) < NODE_HEAD)
            return TOO_LARGE;
        p->out += NODE_HEAD;
        TRY(parse_value(p, element, 0));
        ++*count;
        uint8_t c = peek_past_space(p);
        if (c != ',' && c != ']')
            return BAD_FORMAT;
        p->at++;
        if (c == ']')
            return OK;
    }
}

static enum status parse_container(struct parser *p, uint8_t *node, size_t key_len, unsigned type)
{
    if (++p->depth > p->depth_max)
        return BAD_FORMAT;
    uint8_t *payload = p->out;
    size_t count = 0;
    p->out += NODE_COUNT;
    TRY(type == DOC_OBJECT ? parse_object(p, &count) : parse_array(p, &count));
    p->depth--;
    node_store(payload, count);
    node_head(node, type, 0, key_len, (size_t)(p->out - node));
    return OK;
}

static enum status parse_number(struct parser *p, uint8_t *node, size_t key_len)
{
    struct doc_number number;
    if (!doc_number_scan(span_of(p->at, text_left(p)), &number) || number.len > p->number_max)
        return BAD_FORMAT;
    if (number.is_int) {
        uint64_t le = htole64((uint64_t)number.value);
        p->out = node_put(p->out, &le, sizeof(le));
    } else {
        if (room_left(p) < number.len)
            return TOO_LARGE;
        p->out = node_put(p->out, p->at, number.len);
    }
    p->at += number.len;
    node_head(node, number.is_int ? DOC_INT : DOC_NUMBER, 0, key_len, (size_t)(p->out - node));
    return OK;
}

static enum status parse_word(struct parser *p, uint8_t *node, size_t key_len)
{
    static const struct {
        struct span text;
        enum doc_type type;
    } words[] = {
        {SPAN_INIT("true"),  DOC_TRUE },
        {SPAN_INIT("false"), DOC_FALSE},
        {SPAN_INIT("null"),  DOC_NULL },
    };
    struct span rest = span_of(p->at, text_left(p));
    for (size_t i = 0; i < COUNT(words); i++) {
        if (!span_starts(rest, words[i].text))
            continue;
        p->at += words[i].text.len;
        node_head(node, words[i].type, 0, key_len, (size_t)(p->out - node));
        return OK;
    }
    return BAD_FORMAT;
}

/* The value at p->at into the node at `node`, whose key ends at p->out. */
static enum status parse_value(struct parser *p, uint8_t *node, size_t key_len)
{
    uint8_t c = peek_past_space(p);
    if (room_left(p) < 8) /* an integer, or a count */
        return TOO_LARGE;
    switch (c) {
    case '"':
        TRY(parse_string(p));
        node_head(node, DOC_STRING, 0, key_len, (size_t)(p->out - node));
        return OK;
    case '{':
        return parse_container(p, node, key_len, DOC_OBJECT);
    case '[':
        return parse_container(p, node, key_len, DOC_ARRAY);
    case 't':
    case 'f':
    case 'n':
        return parse_word(p, node, key_len);
    default:
        return parse_number(p, node, key_len);
    }
}

/* The most output and work space a text needs. A character grows into eight bytes at most ("0,"
 * into sixteen); an object's members, five characters each at least, also need an index and a
 * copy. */
static size_t room_for(size_t text_len)
{
    return text_len * 28 + 256;
}

enum status doc_parse(struct span json, const struct doc_syntax *syntax, struct arena *a,
                      struct span *out)
{
    if (span_starts(json, SPAN("\xef\xbb\xbf")))
        json = span_skip(json, BOM_LEN);
    size_t mark = arena_mark(a), room = room_for(json.len), most = arena_left(a);
    if (most < ARENA_SLACK + NODE_HEAD)
        return TOO_LARGE;
    most -= ARENA_SLACK;
    if (most > UINT32_MAX) /* sizes are 32 bits */
        most = UINT32_MAX;
    if (room > most)
        room = most;
    uint8_t *base = arena_bytes(a, room);
    if (!base)
        return TOO_LARGE;
    struct parser p = {.at = json.data,
                       .end = span_skip(json, json.len).data,
                       .out = base + NODE_HEAD,
                       .out_end = base + room,
                       .depth_max = syntax->nesting_max,
                       .number_max = syntax->number_max};
    if (p.depth_max > NODE_NESTING_MAX)
        p.depth_max = NODE_NESTING_MAX;
    enum status st = parse_value(&p, base, 0);
    peek_past_space(&p);
    if (st == OK && p.at != p.end)
        st = BAD_FORMAT;
    if (st != OK) {
        arena_release(a, mark);
        return st;
    }
    arena_trim(a, p.out);
    *out = span_of(base, (size_t)(p.out - base));
    return OK;
}
