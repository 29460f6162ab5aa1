/* Intrusive doubly linked list with a sentinel head.
 *
 *     head <-> a.link <-> b.link <-> head      an empty head points at itself
 *
 * A link that is on no list points at itself too (ferry_list_init), so that
 * ferry_list_remove() may be called twice and ferry_list_empty(&x.link) asks
 * "is x on no list?". */
#ifndef FERRY_BASE_LIST_H
#define FERRY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ferry_list {
    struct ferry_list *next, *prev;
} ferry_list;

#define ferry_container(ptr, type, member)                                             \
    ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void ferry_list_init(ferry_list *l)
{
    l->next = l->prev = l;
}

static inline bool ferry_list_empty(const ferry_list *l)
{
    return l->next == l;
}

static inline void ferry_list_append(ferry_list *head, ferry_list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void ferry_list_prepend(ferry_list *head, ferry_list *item)
{
    ferry_list_append(head->next, item);
}

static inline void ferry_list_remove(ferry_list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    ferry_list_init(item);
}

/* The first item, taken off the list; NULL when empty. */
static inline ferry_list *ferry_list_pop(ferry_list *head)
{
    if (ferry_list_empty(head))
        return NULL;
    ferry_list *item = head->next;
    ferry_list_remove(item);
    return item;
}

/* Moves everything from one list to the (empty, initialised) other. */
static inline void ferry_list_move(ferry_list *to, ferry_list *from)
{
    if (ferry_list_empty(from))
        return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to;
    to->prev->next = to;
    ferry_list_init(from);
}

/* Declares `it` as a type *; the current item may be removed inside the loop. */
#define ferry_list_each(type, it, head, member)                                        \
    for (type *it = ferry_container((head)->next, type, member),                       \
              *it##_next = ferry_container(it->member.next, type, member);             \
         &it->member != (head);                                                        \
         it = it##_next, it##_next = ferry_container(it->member.next, type, member))

#endif
