/* Bytes of a peer, however they are cut, to records (wire.h).
 *
 *      pieces ---> record(), each once and whole;  DATA: record() says how much, data() brings it
 */
#ifndef FERRY_TREE_PARSER_H
#define FERRY_TREE_PARSER_H

#include "tree/wire.h"

/* Zero-initialised but for the first three. */
typedef struct ferry_tree_parser {
    /* What they return, if it is not 0, ends the parsing. Texts of r are valid during the call. */
    int (*record)(void *user, const ferry_tree_record *r);
    int (*data)(void *user, const uint8_t *data, size_t len); /* behind a DATA */
    void *user;

    uint32_t data_left; /* of a DATA record's body */
    size_t have;        /* of a record that came in parts */
    uint8_t partial[FERRY_TREE_HEADER + FERRY_TREE_BODY];
} ferry_tree_parser;

/* The next bytes. 0; -FERRY_EPROTO: no sender sends that; or a callback's answer. */
int ferry_tree_parse(ferry_tree_parser *p, const uint8_t *data, size_t len);

/* At a record's end: there may be nothing more. */
bool ferry_tree_parser_is_between(const ferry_tree_parser *p);

#endif
