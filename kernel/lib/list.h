/* SPDX-License-Identifier: BSD-2-Clause */
/* Intrusive doubly linked list with a head; carries no lock. A removed node points at itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/lib/util.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_insert_before(struct list *node, struct list *before)
{
	node->next = before;
	node->prev = before->prev;
	before->prev->next = node;
	before->prev = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
	list_insert_before(node, head);
}

static inline void list_push_front(struct list *head, struct list *node)
{
	list_insert_before(node, head->next);
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* First node, or NULL when empty. */
static inline struct list *list_first(struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

/* Walks the list; the body must not remove the current node. */
#define LIST_FOREACH(node, head) \
	for (struct list *node = (head)->next; node != (head); node = node->next)

/* Walks the list; the body may remove the current node. */
#define LIST_FOREACH_SAFE(node, head) \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
	     node = node##_next, node##_next = node->next)

/* True when links agree in both directions and the list closes within limit nodes. */
static inline bool list_check(const struct list *head, size_t limit)
{
	const struct list *at = head;

	for (size_t i = 0; i <= limit; i++) {
		if (at->next->prev != at) {
			return false;
		}
		at = at->next;
		if (at == head) {
			return true;
		}
	}
	return false;
}
